"""A pipeline in its cluster form, compiled by KFP: a gate, side effects and an exit handler."""

# no `from __future__ import annotations`: KFP reads the types of functions
import functools
from pathlib import Path
from tempfile import TemporaryDirectory

from infra.policies.manifests import Manifest, read
from tests.policies.conftest import DIGEST


@functools.cache
def compiled(*, as_resources: bool = False) -> str:
    """Its YAML; as_resources: Pipeline and PipelineVersion for KFP's native mode."""
    from kfp import compiler, dsl, kubernetes
    from kfp.compiler.compiler_utils import KubernetesManifestOptions

    def step(name: str) -> dsl.PipelineTask:
        def container():
            return dsl.ContainerSpec(f"registry.example/geovr/cpu@{DIGEST}", ["python"])

        container.__name__ = name
        task = dsl.container_component(container)()
        task.set_memory_limit("2Gi").set_cpu_request("1").set_caching_options(False)
        kubernetes.set_security_context(task, run_as_user=1000, run_as_non_root=True)
        return task

    @dsl.pipeline(name="geovr-training")
    def training():
        with dsl.ExitHandler(step("notify")):
            ingested = step("ingest")
            checked = step("check_clips").after(ingested).set_caching_options(True)
            step("register").after(checked).set_retry(1)

    with TemporaryDirectory() as directory:
        path = Path(directory) / "pipeline.yaml"
        options = KubernetesManifestOptions(
            pipeline_name="geovr-training",
            pipeline_version_name="geovr-training-1",
            namespace="geovr",
            include_pipeline_manifest=True,
        )
        compiler.Compiler().compile(
            training,
            str(path),
            kubernetes_manifest_format=as_resources,
            kubernetes_manifest_options=options if as_resources else None,
        )
        return path.read_text()


def pipeline(*, as_resources: bool = False) -> list[Manifest]:
    """Fresh manifests of it, which a test may change."""
    return read(compiled(as_resources=as_resources), "pipeline.yaml")
