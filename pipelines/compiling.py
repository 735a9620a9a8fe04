"""The pipeline as files: Kubeflow's YAML, or resources for its Kubernetes-native mode."""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from geovr.errors import UserError
from geovr.storage import write_atomic
from pipelines.cluster import ClusterConfig

_DEFAULT = re.compile(r"^(?P<head>#    (?P<name>\w+): \w+ \[Default: ).*\]$", re.MULTILINE)
_DNS_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")


@dataclass(frozen=True)
class Resources:
    """Where the Pipeline and its PipelineVersion go."""

    namespace: str | None = None
    version: str | None = None
    """Name of the version; None names it by its content, as versions can't be changed."""

    def __post_init__(self) -> None:
        for option, name in (("--namespace", self.namespace), ("--version", self.version)):
            if name is not None and not _DNS_NAME.fullmatch(name):
                raise UserError(
                    f"{option} {name}: no name of Kubernetes: small letters, digits, - and ."
                )


def write(
    output: Path,
    images: Mapping[str, str],
    *,
    cluster: ClusterConfig | None = None,
    fixed_data: bool = False,
    resources: Resources | None = None,
) -> None:
    """Compile the pipeline to a file; the same settings give the same bytes.

    Args:
        output: a .yaml file.
        images: of `read_images`.
        cluster: what the pods get.
        fixed_data: ingest may be cached.
        resources: write these instead of the plain YAML.

    Raises:
        UserError: when a cluster's pods would have no image, or the file is no .yaml.
    """
    if output.suffix not in (".yaml", ".yml"):
        raise UserError(f"--output {output}: name a .yaml file")
    if cluster is not None:
        _require_images(images, cluster)
    text = compiled(images, cluster=cluster, fixed_data=fixed_data, resources=resources)
    output.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(output, text)


def compiled(
    images: Mapping[str, str],
    *,
    cluster: ClusterConfig | None = None,
    fixed_data: bool = False,
    resources: Resources | None = None,
) -> bytes:
    """The pipeline as `write` writes it; steps without an image name a placeholder."""
    from kfp import compiler, dsl
    from kfp.compiler.compiler_utils import KubernetesManifestOptions

    from pipelines.training import make_pipeline

    pipeline = make_pipeline(
        images,
        fixed_data=fixed_data,
        cluster=cluster,
        # kfp.local can't fill this in, a server can
        scheduled=dsl.PIPELINE_JOB_SCHEDULE_TIME_UTC_PLACEHOLDER if cluster else "",
    )
    with tempfile.TemporaryDirectory(prefix="geovr-") as scratch:
        path = Path(scratch) / "pipeline.yaml"
        compiler.Compiler().compile(pipeline, str(path))
        plain = _in_order(path.read_text()).encode()
        if resources is None:
            return plain
        content = hashlib.sha256(plain).hexdigest()[:12]
        options = KubernetesManifestOptions(
            pipeline_version_name=resources.version or f"{pipeline.name}-{content}",
            namespace=resources.namespace,
            include_pipeline_manifest=True,
        )
        compiler.Compiler().compile(
            pipeline,
            str(path),
            kubernetes_manifest_format=True,
            kubernetes_manifest_options=options,
        )
        return path.read_bytes()


def _in_order(text: str) -> str:
    """The same with the defaults that its head comment tells in one order: protobuf has none."""
    import yaml

    inputs = next(iter(yaml.safe_load_all(text)))["root"]["inputDefinitions"]["parameters"]

    def default(found: re.Match[str]) -> str:
        value = inputs[found["name"]]["defaultValue"]
        return f"{found['head']}{json.dumps(value, sort_keys=True)}]"

    return _DEFAULT.sub(default, text)


def _require_images(images: Mapping[str, str], cluster: ClusterConfig) -> None:
    without = [name for name in cluster.running() if not {name, "default"} & set(images)]
    if without:
        raise UserError(
            f"--images: no image for {', '.join(without)}; give a file with `default`, as"
            " `make images` writes it"
        )
