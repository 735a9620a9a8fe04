"""Where a stage runs: in this process, or on several through TorchX. The only user of torchx.

What a worker is to do travels in a file, never in a command line: no value of a config or a path
reaches a shell. How it ended travels back in a file too, since torchrun keeps no exit codes.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socket
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from geovr import errors
from geovr.artifacts import Manifest
from geovr.config import LaunchConfig, StageConfig, validate
from geovr.stages import BY_NAME, Stage
from geovr.stages.run import INPUTS, call
from geovr.storage import write_atomic

log = logging.getLogger("geovr")

_ERRORS = {"UserError": errors.UserError, "GateRefused": errors.GateRefused,
           "Interrupted": errors.Interrupted}  # fmt: skip
_POLL_S = 0.5
_GRACE_S = 30.0


def run(stage_name: str, config: StageConfig, inputs: dict[str, str], output: Path) -> None:
    """Run a stage where its config says.

    Args:
        stage_name: of geovr.stages.STAGES.
        config: of the stage; `launch` says where, for those that can run on several processes.
        inputs: artifact name -> directory or s3:// URI.
        output: directory to write.

    Raises:
        UserError, GateRefused, Interrupted: what the stage raised, wherever it ran.
    """
    stage = BY_NAME[stage_name]
    launch: LaunchConfig = getattr(config, "launch", LaunchConfig())
    inside_torchrun = "TORCHELASTIC_RUN_ID" in os.environ
    if launch.scheduler == "inline" or inside_torchrun:
        call(stage, config, inputs, output)
        return
    if launch.scheduler == "kubernetes":
        raise errors.UserError(
            f"{stage_name}.launch.scheduler: kubernetes is not available in this version; use"
            " inline or local_cwd"
        )
    # workers that are being stopped may still write their logs
    with tempfile.TemporaryDirectory(prefix="geovr-job-", ignore_cleanup_errors=True) as scratch:
        job = Path(scratch) / "job.json"
        work = {
            "config": config.model_dump(mode="json"),
            "inputs": {name: _absolute(uri) for name, uri in inputs.items()},
            "output": str(output.resolve()),
            "launcher_pid": os.getpid(),
        }
        job.write_text(json.dumps(work))
        state = _run_local(stage, launch, job, Path(scratch))
        result = Path(scratch) / "result.json"
        if result.is_file():
            told = json.loads(result.read_text())
            raise _ERRORS[told["error"]](told["message"])
        if state != "SUCCEEDED":
            raise RuntimeError(
                f"{stage_name}: the job ended {state}; its last lines stand above this message"
            )


def _absolute(uri: str) -> str:
    return uri if uri.startswith("s3://") else str(Path(uri).resolve())


def app(stage: Stage, launch: LaunchConfig, job: Path, port: int) -> Any:
    """The TorchX app of a job: torchrun on every node, `geovr STAGE --job FILE` in every rank."""
    from torchx.components import dist

    ranks = launch.nodes * launch.processes_per_node
    environment = {
        # torchrun must be this interpreter's
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
        "OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // ranks)),
    }
    return dist.torchrun(
        stage.name,
        "--job",
        str(job),
        m="geovr",
        name=f"geovr/{stage.name}",
        j=f"{launch.nodes}x{launch.processes_per_node}",
        env=environment,
        rdzv_port=port,
        image="",
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _run_local(stage: Stage, launch: LaunchConfig, job: Path, scratch: Path) -> str:
    """Run the app with TorchX's local_cwd scheduler, following its log; gives the final state."""
    from torchx.runner import get_runner
    from torchx.schedulers.local_scheduler import SignalException
    from torchx.specs import is_terminal

    logging.getLogger("torchx").setLevel(logging.WARNING)
    with get_runner("geovr") as runner:
        described = app(stage, launch, job, _free_port())
        handle = runner.run(
            described, "local_cwd", {"log_dir": str(scratch / "logs"), "prepend_cwd": False}
        )
        followers = [
            threading.Thread(
                target=_follow, args=(runner, handle, described.roles[0].name, node), daemon=True
            )
            for node in range(launch.nodes)
        ]
        for follower in followers:
            follower.start()
        try:
            while True:
                status = runner.status(handle)
                if status is None or is_terminal(status.state):
                    break
                time.sleep(_POLL_S)
        except SignalException:
            # TorchX's own handler of signals replaces ours
            _cancel(runner, handle)
            raise errors.Interrupted(
                f"{stage.name}: stopped by a signal; the same command goes on from what is done"
            ) from None
        except BaseException:
            _cancel(runner, handle)
            raise
        for follower in followers:
            follower.join(timeout=10)
        return "VANISHED" if status is None else str(status.state.name)


def _cancel(runner: Any, handle: str) -> None:
    """Stop the job and wait until it is gone: workers save what they have, and none is left."""
    from torchx.specs import is_terminal

    runner.cancel(handle)
    deadline = time.monotonic() + _GRACE_S
    while time.monotonic() < deadline:
        status = runner.status(handle)
        if status is None or is_terminal(status.state):
            return
        time.sleep(_POLL_S)


def _follow(runner: Any, handle: str, role: str, node: int) -> None:
    """Copy a node's log to standard error as it grows."""
    from torchx.schedulers.api import Stream

    for line in runner.log_lines(handle, role, node, should_tail=True, streams=Stream.STDERR):
        print(line.rstrip("\n"), file=sys.stderr, flush=True)


def work(stage_name: str, job: Path) -> None:
    """What one rank does: the job in the file. How it failed goes into a file beside it.

    Raises:
        UserError, GateRefused, Interrupted: what the stage raised.
    """
    told = json.loads(job.read_text())
    stage = BY_NAME[stage_name]
    _end_with(told["launcher_pid"])
    config = validate(stage.config_class(), told["config"], source=str(job))
    try:
        call(stage, config, told["inputs"], Path(told["output"]))
    except tuple(_ERRORS.values()) as error:
        result = {"error": type(error).__name__, "message": str(error)}
        # the first to fail knows why; the others are only told to stop
        with contextlib.suppress(FileExistsError), (job.parent / "result.json").open("x") as file:
            file.write(json.dumps(result))
        raise


def _end_with(launcher_pid: int) -> None:
    """Ask this process to stop when its launcher is gone: a killed one must leave no orphans."""
    import signal

    def watch() -> None:
        while Path(f"/proc/{launcher_pid}").exists():
            time.sleep(_POLL_S)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(_GRACE_S)
        os._exit(errors.Interrupted.exit_code)

    threading.Thread(target=watch, daemon=True).start()


def run_component(
    stage_name: str, config_json: str, inputs: dict[str, tuple[str, str]], output: str
) -> dict[str, Any]:
    """What a pipeline component does: run the stage, and say what it made.

    Where GEOVR_RUN_LOG names a directory, how each stage ended is written there, for the table
    that a local run ends with.

    Args:
        stage_name: of geovr.stages.STAGES.
        config_json: the stage's config.
        inputs: artifact name -> (directory, content digest it must have).
        output: directory to write.

    Returns:
        content digest, counts and seconds, as metadata of the output.
    """
    logging.basicConfig(format="%(message)s", level=logging.WARNING, stream=sys.stderr)
    log.setLevel(logging.INFO)
    began = time.monotonic()
    told: dict[str, Any] = {"stage": stage_name, "status": "failed", "message": ""}
    try:
        stage = BY_NAME[stage_name]
        config = validate(
            stage.config_class(), json.loads(config_json), source=f"parameter {stage_name}"
        )
        for name, (place, digest) in inputs.items():
            found = INPUTS[name].load(place).digest
            if found != digest:
                raise errors.UserError(
                    f"{place}: its content digest is {found}, the run was told {digest}; run the"
                    " stage that writes it again"
                )
        places = {name: place for name, (place, _) in inputs.items()}
        run(stage_name, config, places, Path(output))
        manifest = Manifest.model_validate_json((Path(output) / "manifest.json").read_text())
        told |= {"status": "done", "output": output}
        return {
            "digest": manifest.content_digest,
            "seconds": round(time.monotonic() - began, 1),
            **manifest.counts,
        }
    except Exception as error:
        told |= {"error": type(error).__name__, "message": str(error)}
        raise
    finally:
        told["seconds"] = time.monotonic() - began
        directory = os.environ.get("GEOVR_RUN_LOG")
        if directory:
            write_atomic(Path(directory) / f"{stage_name}.json", json.dumps(told).encode())
