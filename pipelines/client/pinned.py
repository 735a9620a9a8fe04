"""What a run needs on the server before it: pipeline, version, experiment; each made once."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import kfp_server_api as kfp_api

from geovr.errors import UserError
from pipelines import DESCRIPTION, NAME
from pipelines.client.compiled import Compiled
from pipelines.client.server import Server


def version_of(server: Server, made: Compiled) -> Any:
    """The pipeline version that holds an IR, uploaded unless it is there, as a reference to it."""
    pipeline = _pipeline(server)
    version = _version(server, pipeline, made)
    return kfp_api.V2beta1PipelineVersionReference(
        pipeline_id=pipeline, pipeline_version_id=version
    )


def _pipeline(server: Server) -> str:
    doing = f"pipeline {NAME}"

    def found() -> str | None:
        pages = server.listed(
            doing, server.pipelines.pipeline_service_list_pipelines, "pipelines",
            namespace=server.namespace, filter=server.named(NAME),
        )  # fmt: skip
        return _exactly(NAME, pages, "pipeline_id")

    def create() -> str:
        body = kfp_api.V2beta1Pipeline(
            name=NAME,
            display_name=NAME,
            namespace=server.namespace,
            description=DESCRIPTION,
        )
        return str(
            server.ask(
                doing, server.pipelines.pipeline_service_create_pipeline, body, known=(409,)
            ).pipeline_id
        )

    return _found_or_made(found, create)


def _version(server: Server, pipeline: str, made: Compiled) -> str:
    doing = f"pipeline version {made.version}"

    def found() -> str | None:
        pages = server.listed(
            doing, server.pipelines.pipeline_service_list_pipeline_versions, "pipeline_versions",
            pipeline, filter=server.named(made.version),
        )  # fmt: skip
        return _exactly(made.version, pages, "pipeline_version_id")

    def upload() -> str:
        with tempfile.TemporaryDirectory(prefix="geovr-") as scratch:
            file = Path(scratch) / "pipeline.yaml"
            file.write_text(made.text)
            return str(
                server.ask(
                    doing, server.uploads.upload_pipeline_version, str(file),
                    name=made.version, display_name=made.version, pipelineid=pipeline,
                    description=f"sha256 of the IR: {made.digest}", known=(409,),
                ).pipeline_version_id
            )  # fmt: skip

    return _found_or_made(found, upload)


def find_experiment(server: Server, name: str) -> str | None:
    """The id of an experiment."""
    pages = server.listed(
        f"experiment {name}", server.experiments.experiment_service_list_experiments,
        "experiments", namespace=server.namespace, filter=server.named(name),
    )  # fmt: skip
    return _exactly(name, pages, "experiment_id")


def experiment_of(server: Server, name: str) -> str:
    """The id of an experiment, made unless it is there."""

    def create() -> str:
        body = kfp_api.V2beta1Experiment(display_name=name, namespace=server.namespace)
        return str(
            server.ask(
                f"experiment {name}", server.experiments.experiment_service_create_experiment,
                body, known=(409,),
            ).experiment_id
        )  # fmt: skip

    return _found_or_made(lambda: find_experiment(server, name), create)


def _found_or_made(found: Any, make: Any) -> str:
    """What is there, or is made now; names of these are unique, so of two makers one is refused.

    Raises:
        UserError: when it can be neither found nor made.
    """
    there = found()
    if there is not None:
        return str(there)
    try:
        return str(make())
    except kfp_api.ApiException as error:
        # made by another, or by an earlier try whose answer was lost
        there = found()
        if there is None:
            raise UserError(
                f"{error.reason}: the name is taken, and yet not listed; it may lie in another"
                " namespace (--namespace), or be archived"
            ) from None
        return str(there)


def _exactly(name: str, items: Iterable[Any], field: str) -> str | None:
    """The id of the item of just this name: databases compare without regard to case."""
    for item in items:
        if name in (item.display_name, getattr(item, "name", None)):
            return str(getattr(item, field))
    return None
