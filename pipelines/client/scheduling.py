"""`python -m pipelines schedule`: the pipeline again and again, one run at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from geovr import cli_json
from geovr.cli_options import ParamsOption, SetOption
from geovr.errors import UserError
from pipelines.client import options as o


def schedule(
    params: ParamsOption = Path("params.yaml"),
    overrides: SetOption = None,
    images: o.ImagesOption = None,
    cluster: o.ClusterOption = None,
    host: o.HostOption = None,
    namespace: o.NamespaceOption = None,
    ca_file: o.CaOption = None,
    experiment: o.ExperimentOption = o.EXPERIMENT,
    name: Annotated[str, typer.Option(help="The schedule's.")] = "geovr",
    cron: Annotated[
        str | None,
        typer.Option(
            help='Six fields, the first of them seconds: "0 0 2 * * *" is each day at 2, in UTC'
            " unless KFP is set up otherwise."
        ),
    ] = None,
    interval: Annotated[str | None, typer.Option(help="Such as 6h, 30m, 1d.")] = None,
    start: Annotated[
        str | None, typer.Option(help="Not before, such as 2026-12-24T02:00:00Z.")
    ] = None,
    end: Annotated[str | None, typer.Option(help="Not after.")] = None,
    disabled: Annotated[bool, typer.Option("--disabled", help="It starts no runs yet.")] = False,
    service_account: o.AccountOption = o.ACCOUNT,
    pipeline_root: o.RootOption = None,
    delete: Annotated[
        str | None, typer.Option(metavar="NAME", help="Delete this schedule; its runs stay.")
    ] = None,
    list_: Annotated[bool, typer.Option("--list", help="Show the schedules.")] = False,
    dry_run: o.DryRunOption = False,
    as_json: cli_json.JsonOption = False,
) -> None:
    """Have one schedule of this name: made, replaced, or left as it is when it is the same.

    One run at a time; times that were missed are not caught up on, but for the last of them. The
    pipeline's version is pinned: the same command with new images or parameters replaces it. The
    data window of a run (ingest.window, with --cluster) counts from the time it is scheduled for.
    """
    cli_json.start(as_json)
    if sum((bool(cron or interval), delete is not None, list_)) != 1 or (cron and interval):
        raise UserError("give one of --cron, --interval, --delete, --list")
    at = o.target(host, namespace, ca_file, dry_run=dry_run and not (delete or list_))
    if list_:
        _list(at, experiment, as_json)
        return
    if delete is not None:
        _delete(at, experiment, delete, dry_run, as_json)
        return
    from geovr.planning.recipes import find_recipe
    from pipelines.client.dry import tell_requests
    from pipelines.client.pinned import experiment_of, version_of
    from pipelines.client.schedules import ensure
    from pipelines.client.show import schedule_values
    from pipelines.images import read_images, stage_parameters

    trigger = _trigger(cron, interval, start, end)
    o.check_name(name)
    parameters = stage_parameters(find_recipe(str(params)), overrides or [], read_images(images))
    made = o.make(parameters, images, cluster, dry_run=dry_run)
    import kfp_server_api as kfp_api

    from geovr.config import digest
    from pipelines.client.runs import describe

    wanted = kfp_api.V2beta1RecurringRun(
        experiment_id=experiment_of(at.server, experiment),
        display_name=name,
        description=describe(pipeline=made.version, parameters=digest(parameters)),
        pipeline_version_reference=version_of(at.server, made),
        runtime_config=kfp_api.V2beta1RuntimeConfig(
            parameters=made.parameters, pipeline_root=pipeline_root
        ),
        service_account=service_account,
        max_concurrency="1",
        no_catchup=True,
        trigger=trigger,
    )
    applied = ensure(at.server, wanted, enable=not disabled)
    if at.recorder is not None:
        tell_requests(at.recorder.requests, as_json)
        return
    said = f"schedule {name} ({applied.schedule.recurring_run_id}): {applied.action}"
    typer.echo("; ".join([said, *applied.steps]), err=as_json)
    if as_json:
        values = {"status": "done", "action": applied.action, "steps": list(applied.steps)}
        cli_json.tell({**values, "schedule": schedule_values(applied.schedule)})


def _trigger(cron: str | None, interval: str | None, start: str | None, end: str | None) -> Any:
    import kfp_server_api as kfp_api

    from pipelines.client.cron import check_cron, check_interval, check_time

    begins, ends = check_time("--start", start), check_time("--end", end)
    if begins and ends and begins >= ends:
        raise UserError(f"--end {end}: is not after --start {start}")
    window = {"start_time": begins, "end_time": ends}
    if cron is not None:
        return kfp_api.V2beta1Trigger(
            cron_schedule=kfp_api.V2beta1CronSchedule(cron=check_cron(cron), **window)
        )
    seconds = str(check_interval(interval or ""))
    return kfp_api.V2beta1Trigger(
        periodic_schedule=kfp_api.V2beta1PeriodicSchedule(interval_second=seconds, **window)
    )


def _list(at: o.Target, experiment: str, as_json: bool) -> None:
    from pipelines.client.pinned import find_experiment
    from pipelines.client.schedules import listed
    from pipelines.client.show import print_schedules, schedule_values

    experiment_id = find_experiment(at.server, experiment)
    found = listed(at.server, experiment_id) if experiment_id else []
    if as_json:
        cli_json.tell({"status": "done", "schedules": [schedule_values(one) for one in found]})
    elif not found:
        typer.echo(f"no schedules in experiment {experiment}")
    else:
        print_schedules(found)


def _delete(at: o.Target, experiment: str, name: str, dry_run: bool, as_json: bool) -> None:
    from pipelines.client.pinned import find_experiment
    from pipelines.client.schedules import delete, of_name

    experiment_id = find_experiment(at.server, experiment)
    found = of_name(at.server, experiment_id, name) if experiment_id else []
    for one in [] if dry_run else found:
        delete(at.server, one)
    ids = [str(one.recurring_run_id) for one in found]
    said = f"schedule {name}: {'would be deleted' if dry_run else 'deleted'} ({', '.join(ids)})"
    if not found:
        said = f"schedule {name}: there is none in experiment {experiment}"
    typer.echo(said, err=as_json)
    if as_json:
        cli_json.tell({"status": "done", "deleted": [] if dry_run else ids, "message": said})
