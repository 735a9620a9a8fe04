"""What is sent to a cluster: the pipeline's IR and its parameters, from files on this machine."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from components.image import IMAGE
from geovr.config import digest
from pipelines import compiling
from pipelines.cluster import ClusterConfig, check_launches


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


def compiled(
    parameters: dict[str, str], images: Mapping[str, str], cluster: ClusterConfig | None
) -> Compiled:
    """Compile the pipeline for a cluster.

    Args:
        parameters: stage name -> its config as JSON.
        images: as the images file has them.
        cluster: its settings, None for those that are the default.

    Raises:
        UserError: for a stage that would run where no pod for it is made.
    """
    if cluster is not None:
        check_launches(cluster, parameters)
    # what a commit holds stays what it is, so that ingest may take its result from KFP's cache
    ingest = json.loads(parameters["ingest"])
    rev = (ingest.get("dvc") or {}).get("rev") or ""
    fixed_data = re.fullmatch(r"[0-9a-f]{40}", rev) is not None and not ingest.get("window")
    text = compiling.compiled(images, cluster=cluster, fixed_data=fixed_data).decode()
    return Compiled(tuple(yaml.safe_load_all(text)), parameters, text)
