"""The command line: one command per stage, made from STAGES, and a few beside the flow.

Exit codes: 0 done; 2 the user's mistake; 3 refused: by a gate, by `promote`, for answers that are
missing, or for leakage; 75 interrupted, the same command goes on; 1 anything else.
"""

from __future__ import annotations

import inspect
import logging
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from geovr import cli_json
from geovr.cli_ask import ask
from geovr.cli_benchmark import benchmark, dataset
from geovr.cli_compare import compare
from geovr.cli_data import init_model, simulate
from geovr.cli_doctor import doctor
from geovr.cli_inspect import inspecting, reconstruct
from geovr.cli_leakage import leakage
from geovr.cli_models import export, promote, rollback
from geovr.cli_options import OutputOption, ParamsOption, SetOption
from geovr.cli_plan import plan, recipes
from geovr.cli_probe import probe
from geovr.cli_report import report
from geovr.cli_runs import runs
from geovr.cli_score import score
from geovr.cli_study import study
from geovr.stages import STAGES, Stage

app = typer.Typer(
    name="geovr",
    help="Train multimodal language models to understand space, from video to registered model.",
    no_args_is_help=True,
    rich_markup_mode=None,  # rich help costs half a second of imports
    add_completion=False,
    pretty_exceptions_enable=False,
)

SUMMARIES = {
    "ingest": "Sample videos to clips, and join them with their questions.",
    "check_clips": "Gate: refuse clips and questions that are not fit for training.",
    "extract_targets": "Ask the teacher about every clip: poses, depth, scale, features.",
    "check_targets": "Gate: refuse targets that are not fit for training.",
    "train": "Train, and export a stock Qwen3-VL.",
    "evaluate": "Answer the test questions, and score the answers beside the baselines.",
    "register": "Register the model version, and decide on promotion.",
}

LAUNCH_OPTIONS = {
    "scheduler": (str | None, "local_cwd, local_docker or kubernetes."),
    "nodes": (int | None, "Number of nodes."),
    "processes_per_node": (int | None, "Processes (ranks) on each node."),
    "max_retries": (int | None, "Restarts after a lost node or an interruption."),
    "image": (str | None, "Image of local_docker and kubernetes; for the latter by digest."),
    "namespace": (str | None, "Kubernetes namespace."),
    "queue": (str | None, "Volcano queue."),
    "service_account": (str | None, "Kubernetes service account."),
    "priority_class": (str | None, "Kubernetes priority class."),
    "spot": (str | None, "Nodes that may be taken back, of gke, aks, eks or karpenter."),
}
"""Options of `geovr launch STAGE`: name -> type, help. The rest is under STAGE.launch."""


def _stage_command(stage: Stage, launching: bool = False) -> Callable[..., None]:
    """A command whose options are the stage's inputs, and where it runs if it is launched."""

    def command(**options: Any) -> None:
        from geovr import launch
        from geovr.planning.recipes import find_recipe
        from geovr.stages.run import stage_config

        if options.get("job") is not None:
            launch.work(stage.name, options["job"])
            return
        cli_json.start(options["as_json"])
        overrides = list(options["overrides"] or [])
        if launching:
            overrides += _launch_overrides(stage, options)
        params = find_recipe(str(options["params"]))
        if stage.name == "ingest":
            overrides += _sources(options["videos"], options["questions"])
            overrides += _scheduled(options["scheduled"])
        output = options["output"] or Path("artifacts") / stage.output
        inputs = {name: options[name] or f"artifacts/{name}" for name in stage.inputs}
        config = stage_config(stage, params, overrides)
        if options.get("dry_run"):
            typer.echo(launch.dry_run(stage.name, config, inputs), nl=False)
            return
        with cli_json.quiet_stdout(options["as_json"]):
            seconds = launch.run(stage.name, config, inputs, output)
        if options["as_json"]:
            cli_json.tell(_told(stage, output, seconds))
        else:
            _show(stage, output)

    parameters: dict[str, tuple[Any, Any]] = {
        "params": (ParamsOption, Path("params.yaml")),
        "overrides": (SetOption, None),
        "output": (OutputOption, None),
        "as_json": (cli_json.JsonOption, False),
    }
    for name in stage.inputs:
        text = f"Directory or s3:// URI of the {name}. [default: artifacts/{name}]"
        parameters[name] = (Annotated[str | None, typer.Option(help=text)], None)
    if stage.name == "ingest":
        text = "Folder, .txt list or s3:// prefix, instead of the params file's."
        parameters["videos"] = (Annotated[str | None, typer.Option(help=text)], None)
        text = "Question file, as SPLIT:PATH with SPLIT train or test; may be repeated."
        parameters["questions"] = (Annotated[list[str] | None, typer.Option(help=text)], None)
        text = "Time that ingest.window's data comes from, such as 2026-11-27T02:00:00Z."
        parameters["scheduled"] = (Annotated[str | None, typer.Option(help=text)], None)
    if launching:
        for name, (kind, text) in LAUNCH_OPTIONS.items():
            parameters[name] = (Annotated[kind, typer.Option(help=text)], None)
        text = "Print the job; submit and ask nothing."
        parameters["dry_run"] = (Annotated[bool, typer.Option("--dry-run", help=text)], False)
    elif stage.launchable:
        parameters["job"] = (Annotated[str | None, typer.Option(hidden=True)], None)
    command.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter(
                name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind
            )
            for name, (kind, default) in parameters.items()
        ]
    )
    command.__annotations__ = {name: kind for name, (kind, _) in parameters.items()}
    command.__doc__ = SUMMARIES[stage.name]
    return command


for _stage in STAGES:
    app.command(_stage.name)(_stage_command(_stage))


launch_app = typer.Typer(
    help="Run a stage on several processes or nodes, through TorchX.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
for _stage in STAGES:
    if _stage.launchable:
        launch_app.command(_stage.name)(_stage_command(_stage, launching=True))
app.add_typer(launch_app, name="launch")


def _launch_overrides(stage: Stage, options: dict[str, Any]) -> list[str]:
    """The options of `geovr launch` as overrides of the stage's section."""
    import json

    kubernetes = {"namespace", "queue", "service_account", "priority_class", "spot"}
    return [
        f"{stage.name}.launch.{'kubernetes.' if name in kubernetes else ''}{name}="
        f"{json.dumps(options[name])}"
        for name in LAUNCH_OPTIONS
        if options[name] is not None
    ]


def _sources(videos: str | None, questions: list[str] | None) -> list[str]:
    """Ingest's --videos and --questions as overrides; they replace the params file's sources."""
    import json

    from geovr.errors import UserError

    if videos is None and questions is None:
        return []
    sources = []
    for text in questions or []:
        split, _, path = text.partition(":")
        if split not in ("train", "test") or not path:
            raise UserError(f"--questions {text}: write it as train:FILE or test:FILE")
        sources.append({"path": path, "split": split})
    overrides = [f"ingest.questions={json.dumps(sources)}"]
    if videos is not None:
        overrides += [f"ingest.videos={json.dumps(videos)}", "ingest.clips=null", "ingest.dvc=null"]
    return overrides


def _scheduled(time: str | None) -> list[str]:
    """Ingest's --scheduled as an override: a text, which YAML would take for a time."""
    import json

    return [] if time is None else [f"ingest.scheduled={json.dumps(time)}"]


def _told(stage: Stage, output: Path, seconds: float) -> dict[str, Any]:
    """What `--json` prints of a stage that is done."""
    from geovr.artifacts import Manifest
    from geovr.stages.summary import mapping

    manifest = Manifest.model_validate_json((output / "manifest.json").read_bytes())
    return {
        "status": "done", "exit_code": 0, "stage": stage.name, "seconds": round(seconds, 3),
        "output": str(output), "kind": manifest.kind, "digest": manifest.content_digest,
        "counts": manifest.counts, **mapping(manifest), "details": manifest.details,
    }  # fmt: skip


def _show(stage: Stage, output: Path) -> None:
    """What a stage has to show on a terminal beyond its log."""
    if stage.name == "evaluate":
        from rich.console import Console

        from geovr.artifacts import EvalReport
        from geovr.evaluation.report import render_table
        from geovr.stages.evaluate import load_scores

        Console(width=None if sys.stdout.isatty() else 150).print(
            render_table(load_scores(EvalReport.load(output)))
        )


app.add_typer(inspecting, name="inspect")
app.command()(reconstruct)
app.command()(report)
app.command()(plan)
app.command()(recipes)
app.command()(simulate)
app.add_typer(runs, name="runs")
app.add_typer(benchmark, name="benchmark")
app.add_typer(dataset, name="dataset")
app.add_typer(study, name="study")
app.command()(leakage)
app.command("init-model")(init_model)
app.command()(export)
app.command()(ask)
app.command()(compare)
app.command()(probe)
app.command()(promote)
app.command()(rollback)
app.command()(doctor)
app.command()(score)


def stopped(number: int, frame: object) -> None:
    """Signal handler: end as interrupted."""
    from geovr.errors import Interrupted

    raise Interrupted("stopped by a signal; the same command goes on from what is done")


def main() -> None:
    """Run the command line and exit with the code that its outcome has."""
    from geovr.progress import StderrHandler

    logging.basicConfig(format="%(message)s", level=logging.WARNING, handlers=[StderrHandler()])
    rank = os.environ.get("RANK", "0")
    logging.getLogger("geovr").setLevel(logging.INFO if rank == "0" else logging.WARNING)
    signal.signal(signal.SIGTERM, stopped)
    signal.signal(signal.SIGINT, stopped)
    sys.exit(outcome(app))


def outcome(run: Callable[[], Any]) -> int:
    """Run something, print what went wrong as a user reads it, and give the exit code."""
    from geovr.errors import (
        GateRefused,
        Interrupted,
        RunFailed,
        StoreError,
        TrainingDiverged,
        UserError,
    )

    try:
        run()
    except (
        UserError, GateRefused, Interrupted, RunFailed, TrainingDiverged, StoreError,
    ) as error:  # fmt: skip
        if cli_json.asked():
            cli_json.tell_failure(error, error.exit_code)
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return error.exit_code
    except Exception as error:
        if cli_json.asked():
            cli_json.tell_failure(error, 1)
        raise
    return 0


if __name__ == "__main__":
    main()
