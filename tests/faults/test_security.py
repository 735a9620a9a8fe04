"""Files of strangers that want to run code or take memory, and secrets (faults 49 to 52)."""

from __future__ import annotations

import ast
import json
import logging
import pickle
import shutil
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from geovr.config import validate
from geovr.data.objects import BrokenObject, unseal
from geovr.errors import UserError
from geovr.model.forward import load_backbone
from geovr.stages.ingest import DvcSource, IngestConfig, ingest
from geovr.storage import Store, StoreError
from tests.media import write_video
from tests.workspace import REPOSITORY, Workspace, environment

FOUR = [0.5 * n for n in range(4)]


class Planted:
    """Unpickled, it leaves a file."""

    def __init__(self, sentinel: Path) -> None:
        self.sentinel = sentinel

    def __reduce__(self) -> Any:
        return Path.touch, (self.sentinel,)


@pytest.mark.fault(49)
@pytest.mark.parametrize("form", ["pickle", "torch"])
def test_a_pickle_in_the_place_of_an_object_is_never_opened(form: str, tmp_path: Path) -> None:
    write_video(tmp_path / "videos/a.mp4", FOUR)
    config = IngestConfig(store=str(tmp_path / "store"), videos=str(tmp_path / "videos"), workers=1)
    first = ingest(config, output=tmp_path / "clips")
    sentinel = tmp_path / "opened"
    path = tmp_path / "store" / first.index["object_key"].iloc[0]
    whole = path.read_bytes()
    if form == "pickle":
        path.write_bytes(pickle.dumps(Planted(sentinel)))
    else:
        torch.save({"frames_THWC": Planted(sentinel)}, path)
    with pytest.raises(StoreError, match="damaged"):
        row = first.index.iloc[0]
        Store.open(config.store).get(row.object_key, row.object_sha256)
    with pytest.raises(BrokenObject):
        unseal(path.read_bytes())
    assert ingest(config, output=tmp_path / "clips").digest == first.digest
    assert path.read_bytes() == whole and not sentinel.exists()


@pytest.mark.fault(49)
def test_neither_pickle_nor_code_of_a_model_directory_is_run(
    template: Path, tmp_path: Path
) -> None:
    """Weights as a pickle beside or without safetensors, and code that the config points to."""
    directory, sentinel = tmp_path / "model", tmp_path / "opened"
    shutil.copytree(template / ".geovr/models/study", directory)
    torch.save({"x": Planted(sentinel)}, directory / "pytorch_model.bin")
    for name in ("config.json", "processor_config.json", "tokenizer_config.json"):
        path = directory / name
        values = json.loads(path.read_text()) if path.exists() else {}
        auto = {"AutoConfig": "evil.C", "AutoProcessor": "evil.C", "AutoTokenizer": ["evil.C"] * 2}
        path.write_text(json.dumps(values | {"auto_map": auto}))
    (directory / "evil.py").write_text(f"open({str(sentinel)!r}, 'w')\nclass C: pass\n")
    model, _ = load_backbone(directory)
    assert model.config.model_type == "qwen3_vl" and not sentinel.exists()
    for path in directory.glob("*.safetensors*"):
        path.unlink()
    with pytest.raises(UserError, match="no safetensors file of weights"):
        load_backbone(directory)
    assert not sentinel.exists()


def lying(header: Any, data: bytes = b"", length: int | None = None) -> bytes:
    """A safetensors file of this header, which may say another length."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def tensor(begin: int, end: int, shape: list[int], dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


SEAL = {"__metadata__": {"sha256": "0" * 64}}
HUGE = 1 << 40
LIES: dict[str, bytes] = {
    "a header of 2^63 bytes": lying(SEAL, length=(1 << 63) - 1),
    "a header of 2^64 bytes": lying(SEAL, length=(1 << 64) - 1),
    "a header of a terabyte": lying(SEAL, length=HUGE),
    "a header longer than the file": lying(SEAL, length=4096),
    "no header": lying(b""),
    "a terabyte of numbers": lying({**SEAL, "x": tensor(0, HUGE, [HUGE // 4])}),
    "a terabyte in 4 bytes": lying({**SEAL, "x": tensor(0, 4, [HUGE])}, bytes(4)),
    "a product that overflows": lying({**SEAL, "x": tensor(0, 4, [1 << 33, 1 << 33])}, bytes(4)),
    "tensors that overlap": lying(
        {**SEAL, "x": tensor(0, 8, [2]), "y": tensor(4, 12, [2])}, bytes(12)
    ),
    "a hole": lying({**SEAL, "x": tensor(0, 4, [1]), "y": tensor(8, 12, [1])}, bytes(12)),
    "an end before the beginning": lying({**SEAL, "x": tensor(8, 4, [1])}, bytes(8)),
    "a negative offset": lying({**SEAL, "x": tensor(-4, 0, [1])}, bytes(4)),
    "a negative shape": lying({**SEAL, "x": tensor(0, 4, [-1])}, bytes(4)),
    "an unknown type": lying({**SEAL, "x": tensor(0, 4, [1], "F33")}, bytes(4)),
    "bytes behind the end": lying({**SEAL, "x": tensor(0, 4, [1])}, bytes(8)),
    "one name twice": lying(
        b'{"__metadata__":{"sha256":"0"},"x":' + json.dumps(tensor(0, 4, [1])).encode()
        + b',"x":' + json.dumps(tensor(4, 8, [1])).encode() + b"}", bytes(8),
    ),
    "a million brackets": lying(b'{"__metadata__":' + b"[" * 1_000_000),
    "a list": lying([SEAL]),
    "a text of no tensor": lying({**SEAL, "x": "y"}),
}  # fmt: skip

READ = """
import resource, sys
from pathlib import Path
import torch
from geovr.data.objects import BrokenObject, unseal
from geovr.errors import UserError
from geovr.teachers.weights import _read

status = Path("/proc/self/status").read_text()
taken = int(status.split("VmSize:")[1].split()[0]) << 10
resource.setrlimit(resource.RLIMIT_AS, (taken + (256 << 20), taken + (256 << 20)))
for path in sorted(Path(sys.argv[1]).glob("*.safetensors")):
    for read, refusal in ((lambda p: unseal(p.read_bytes()), BrokenObject), (_read, UserError)):
        try:
            read(path)
        except refusal:
            continue
        sys.exit(f"{path.name} was taken")
print("all refused")
"""


@pytest.mark.fault(50)
def test_headers_that_lie_are_refused_with_256_mb_to_spare(tmp_path: Path) -> None:
    for name, data in LIES.items():
        (tmp_path / f"{name}.safetensors").write_bytes(data)
    done = subprocess.run(
        [sys.executable, "-c", READ, str(tmp_path)], env=environment(tmp_path),
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "all refused\n"), done.stderr


ARCHIVES = {"tarfile", "zipfile", "shutil.unpack_archive", "gzip", "lzma", "bz2", "zlib"}
READERS = {
    ("geovr/archives.py", "zipfile"), ("geovr/archives.py", "zlib"),
    ("geovr/unpack.py", "tarfile"), ("geovr/unpack.py", "zlib"),
}  # fmt: skip
"""Who reads archives, member by member: tests/simulation/rooms/test_archive.py, and, for those
whose members become files, tests/evaluation/benchmarks/test_unpack.py."""


@pytest.mark.fault(51)
def test_nothing_of_ours_unpacks_an_archive() -> None:
    """What unpacks none can't be led astray by one; who adds it must prove that here."""
    found, extracting = set(), []
    for folder in ("geovr", "components", "pipelines"):
        for path in (REPOSITORY / folder).rglob("*.py"):
            name = path.relative_to(REPOSITORY).as_posix()
            for node in ast.walk(ast.parse(path.read_text())):
                names = []
                if isinstance(node, ast.Import):
                    names = [alias.name for alias in node.names]
                elif isinstance(node, ast.ImportFrom):
                    names = [node.module or ""]
                elif isinstance(node, ast.Attribute):
                    names = [f"{getattr(node.value, 'id', '')}.{node.attr}"]
                    if node.attr in ("extract", "extractall"):
                        extracting.append(f"{name}:{node.lineno}")
                found |= {(name, used) for used in names if used in ARCHIVES}
    assert found == READERS
    assert extracting == []


CANARY = "canary-7f3a9c1e"
SECRETS = (
    "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "HF_TOKEN", "MLFLOW_TRACKING_PASSWORD",
    "MLFLOW_TRACKING_TOKEN", "GITHUB_TOKEN", "DATABASE_PASSWORD",
)  # fmt: skip


@pytest.mark.fault(52)
def test_a_secret_of_the_environment_is_nowhere_in_what_stages_leave(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Logs, manifests, reports, objects, and the tracking server's database and artifacts."""
    for name in SECRETS:
        monkeypatch.setenv(name, CANARY)
    with caplog.at_level(logging.DEBUG):
        told = [
            workspace.inline(stage)
            for stage in ("ingest", "check_clips", "extract_targets", "train")
        ]
        told.append(workspace.inline("ingest", "--videos", "none", code=2))
    assert CANARY not in "".join(told) and CANARY not in caplog.text
    left = [path for path in workspace.root.rglob("*") if path.is_file()]
    assert len(left) > 50
    assert not [path for path in left if CANARY.encode() in path.read_bytes()]


@pytest.mark.fault(52)
@pytest.mark.parametrize(
    "repo",
    [
        f"https://me:{CANARY}@host.example/repo.git", f"https://{CANARY}@host.example/repo.git",
        f"ssh://me:{CANARY}@host.example/repo.git",
    ],
)  # fmt: skip
def test_a_repository_with_a_password_in_its_address_is_refused(repo: str) -> None:
    with pytest.raises(UserError, match="holds a password or token") as told:
        validate(DvcSource, {"repo": repo, "path": "data"}, source="params.yaml")
    assert CANARY not in str(told.value)
    for fine in ("ssh://git@host.example/repo.git", "git@host.example:repo.git", "../data"):
        validate(DvcSource, {"repo": fine, "path": "data"}, source="params.yaml")
