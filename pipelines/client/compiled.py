"""What is sent to a cluster: the pipeline's IR and its parameters, from files on this machine."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from components.image import IMAGE
from geovr.config import digest


@dataclass(frozen=True)
class Compiled:
    """A pipeline ready to be sent.

    Attributes:
        ir: the documents of the IR: the pipeline, and what is Kubernetes' own.
        parameters: stage name -> its config as JSON.
        text: the IR as the file that is uploaded.
    """

    ir: tuple[dict[str, Any], ...]
    parameters: dict[str, str]
    text: str

    @property
    def digest(self) -> str:
        """Of the IR, whatever version of the SDK wrote it."""
        first, *others = self.ir
        return digest([{k: v for k, v in first.items() if k != "sdkVersion"}, *others])

    @property
    def version(self) -> str:
        """The name of the pipeline version that holds this IR."""
        return f"geovr-{self.digest[:16]}"

    @property
    def placeholders(self) -> list[str]:
        """Executors whose image is none that a cluster could pull."""
        executors = self.ir[0]["deploymentSpec"]["executors"]
        return sorted(
            name.removeprefix("exec-")
            for name, executor in executors.items()
            if executor.get("container", {}).get("image") == IMAGE
        )


def compiled(parameters: dict[str, str], images: Mapping[str, str], cluster: Any) -> Compiled:
    """Compile the pipeline for a cluster.

    Args:
        parameters: stage name -> its config as JSON.
        images: as the images file has them.
        cluster: its settings, None for those that are the default.
    """
    from kfp import compiler, dsl

    from pipelines.training import make_pipeline

    # what a commit holds stays what it is, so that ingest may take its result from KFP's cache
    ingest = json.loads(parameters["ingest"])
    rev = (ingest.get("dvc") or {}).get("rev") or ""
    fixed_data = re.fullmatch(r"[0-9a-f]{40}", rev) is not None and not ingest.get("window")
    time = dsl.PIPELINE_JOB_SCHEDULE_TIME_UTC_PLACEHOLDER
    settings = {} if cluster is None else {"cluster": cluster, "scheduled": time}
    pipeline = make_pipeline(images, fixed_data=fixed_data, **settings)
    with tempfile.TemporaryDirectory(prefix="geovr-") as scratch:
        file = Path(scratch) / "pipeline.yaml"
        compiler.Compiler().compile(pipeline, str(file))
        text = file.read_text()
    return Compiled(tuple(yaml.safe_load_all(text)), parameters, text)
