"""`python -m pipelines submit`: one run for one piece of work."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from geovr import cli_json
from geovr.cli_options import ParamsOption, SetOption
from geovr.errors import UserError
from pipelines.client import options as o

if TYPE_CHECKING:
    from pipelines.client.data import DataVersion
    from pipelines.client.runs import Outcome

_SAID = {
    "created": "run {name} ({id}) was made",
    "adopted": "run {name} ({id}) goes on already; it is this very work",
    "done before": "run {name} ({id}) has done this very work",
    "failed before": "run {name} ({id}) has failed on this; --retry-failed tries again",
}


def submit(
    params: ParamsOption = Path("params.yaml"),
    overrides: SetOption = None,
    images: o.ImagesOption = None,
    cluster: o.ClusterOption = None,
    host: o.HostOption = None,
    namespace: o.NamespaceOption = None,
    ca_file: o.CaOption = None,
    experiment: o.ExperimentOption = o.EXPERIMENT,
    name: Annotated[
        str | None,
        typer.Option(help="The run's. [default: a digest of pipeline, parameters and data]"),
    ] = None,
    service_account: o.AccountOption = o.ACCOUNT,
    pipeline_root: o.RootOption = None,
    trigger_on_new_data: Annotated[
        bool, typer.Option(help="Make a run only when no run has seen this version of the data.")
    ] = False,
    retry_failed: Annotated[
        bool, typer.Option(help="With --trigger-on-new-data: also when its run has failed.")
    ] = False,
    wait: Annotated[bool, typer.Option(help="Follow the run until it ends.")] = False,
    dry_run: o.DryRunOption = False,
    as_json: cli_json.JsonOption = False,
) -> None:
    """Run the pipeline on a cluster. The same work is not run twice: a run of it is adopted."""
    cli_json.start(as_json)
    import kfp_server_api as kfp_api

    from geovr.config import digest
    from geovr.planning.recipes import find_recipe
    from pipelines.client.dry import tell_requests
    from pipelines.client.following import follow
    from pipelines.client.pinned import experiment_of, version_of
    from pipelines.client.runs import describe, ensure
    from pipelines.client.show import run_values
    from pipelines.images import read_images, stage_parameters

    at = o.target(host, namespace, ca_file, dry_run=dry_run)
    parameters = stage_parameters(find_recipe(str(params)), overrides or [], read_images(images))
    sent = _at_this_time(parameters)
    data = _data(sent["ingest"], must=trigger_on_new_data and not dry_run)
    made = o.make(_at_revision(sent, data), images, cluster, dry_run=dry_run)
    settings = {"service_account": service_account, "pipeline_root": pipeline_root}
    key = data.key if data else "unknown"
    # the time of a window and the commit of a branch are no part of it: the data's version counts
    work = digest([made.digest, parameters, settings, key])[:16]
    labels = describe(
        data=key,
        **({"where": data.told} if data else {}),
        pipeline=made.version,
        parameters=digest(parameters),
        work=work,
        by="new data" if trigger_on_new_data else "submit",
    )
    own = f"geovr-data-{digest(key)[:16]}" if trigger_on_new_data else f"geovr-{work}"
    experiment_id = experiment_of(at.server, experiment)

    def body(name: str) -> Any:
        return kfp_api.V2beta1Run(
            experiment_id=experiment_id,
            display_name=name,
            description=labels,
            pipeline_version_reference=version_of(at.server, made),
            runtime_config=kfp_api.V2beta1RuntimeConfig(
                parameters=made.parameters, pipeline_root=pipeline_root
            ),
            service_account=service_account,
        )

    outcome = ensure(
        at.server,
        experiment_id,
        o.check_name(name) if name else own,
        body,
        work=None if trigger_on_new_data else work,
        retry_failed=retry_failed or not trigger_on_new_data,
    )
    if at.recorder is not None:
        tell_requests(at.recorder.requests, as_json)
        return
    run = outcome.run
    said = _said(outcome, by_data=trigger_on_new_data)
    typer.echo(said, err=as_json)
    if wait and outcome.action != "failed before":
        run = follow(at.server, run)
        typer.echo(f"run {run.display_name} ({run.run_id}) succeeded", err=as_json)
    if as_json:
        values = {"status": "done", "action": outcome.action, "message": said}
        cli_json.tell({
            **values, "cancelled": list(outcome.cancelled), "run": run_values(run, stages=wait)
        })  # fmt: skip


def _data(ingest: str, *, must: bool) -> DataVersion | None:
    """The data's version; None, told loudly, where this machine can't see it and need not."""
    from geovr.errors import StoreError
    from geovr.ingesting.config import IngestConfig
    from pipelines.client.data import data_version

    try:
        return data_version(IngestConfig.model_validate_json(ingest))
    except (UserError, StoreError) as error:
        if must:
            raise
        typer.echo(
            "warning: the data's version is unknown here, so a run of the same parameters on other"
            f" data counts as this work ({error})",
            err=True,
        )
        return None


def _at_this_time(parameters: dict[str, str]) -> dict[str, str]:
    """The parameters with the time of the data's window, where they name none."""
    ingest = json.loads(parameters["ingest"])
    if not ingest.get("window") or ingest.get("scheduled"):
        return parameters
    ingest["scheduled"] = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    return parameters | {"ingest": json.dumps(ingest)}


def _at_revision(parameters: dict[str, str], data: DataVersion | None) -> dict[str, str]:
    """The parameters with the very commit whose data was looked at, where they name a branch."""
    if data is None or data.rev is None:
        return parameters
    ingest = json.loads(parameters["ingest"])
    ingest["dvc"]["rev"] = data.rev
    return parameters | {"ingest": json.dumps(ingest)}


def _said(outcome: Outcome, *, by_data: bool) -> str:
    run = outcome.run
    name, run_id = run.display_name, run.run_id
    said = _SAID[outcome.action].format(name=name, id=run_id)
    if by_data and outcome.action != "created":
        said = f"no new data since run {name} ({run_id})"
        if outcome.action == "failed before":
            said += ", which failed; --retry-failed tries again"
    if outcome.cancelled:
        said += f"; cancelled as doubles of it: {', '.join(outcome.cancelled)}"
    return said
