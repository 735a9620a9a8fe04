"""A stage on several processes of this machine: TorchX's local_cwd, or local_docker."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from geovr import errors
from geovr.config import StageConfig
from geovr.errors import UserError
from geovr.launch import watch
from geovr.launch.app import make_app
from geovr.launch.channel import Channel, Told, Work
from geovr.launch_config import LaunchConfig
from geovr.stages import Stage
from geovr.storage import is_s3

log = logging.getLogger("geovr")

_POLL_S = 0.5
_GRACE_S = 30.0


def run(
    stage: Stage, config: StageConfig, launch: LaunchConfig, inputs: dict[str, str], output: Path
) -> None:
    """Run the stage, and again when a node was lost, as often as the config allows.

    Raises:
        UserError, GateRefused, Interrupted: what the stage raised.
        RuntimeError: when the job failed in another way.
    """
    # workers that are being stopped may still write their logs
    with tempfile.TemporaryDirectory(
        prefix="geovr-job-", dir=_scratch(launch), ignore_cleanup_errors=True
    ) as scratch:
        docker = launch.scheduler == "local_docker"
        for attempt in range(launch.max_retries + 1):
            channel = Channel(str(Path(scratch) / f"attempt-{attempt}"))
            work = Work(
                stage=stage.name,
                config=config.model_dump(mode="json"),
                inputs={name: _absolute(uri) for name, uri in inputs.items()},
                output=str(output.resolve()),
                directory=str(Path.cwd()),
                launcher_pid=None if docker else os.getpid(),
            )
            channel.start(work)
            state = _run_once(stage, launch, channel, Path(scratch) / f"logs-{attempt}")
            if state == "SUCCEEDED":
                return
            codes, told = channel.exit_codes(launch.nodes), channel.told()
            if not can_retry(codes, told) or attempt == launch.max_retries:
                break
            _end_all(channel.place)
            log.warning(
                "%s: %s; starting again from what is done (%d of %d)",
                stage.name, _reason(codes), attempt + 1, launch.max_retries,
            )  # fmt: skip
        if told is not None:
            raise told.exception()
        raise RuntimeError(
            f"{stage.name}: the job ended {state}; its last lines stand above this message"
        )


def render(stage: Stage, config: StageConfig, launch: LaunchConfig) -> Any:
    """TorchX's dry run of the job; its place is filled in when it runs."""
    from torchx.runner import get_runner

    with get_runner() as runner:
        return _dryrun(runner, stage, launch, "PLACE", Path("logs"))


def can_retry(codes: list[int | None], told: Told | None) -> bool:
    """Whether another try may end better.

    Args:
        codes: exit code of each node's agent, None for one that was lost.
        told: what a rank said of its failure.
    """
    if told is not None and told.final:
        return False
    return any(code is None or code == errors.Interrupted.exit_code for code in codes)


def _reason(codes: list[int | None]) -> str:
    lost = [str(node) for node, code in enumerate(codes) if code is None]
    return f"node {', '.join(lost)} was lost" if lost else "a node was interrupted"


def _scratch(launch: LaunchConfig) -> Path | None:
    """Where the channel lies: containers see the working directory only."""
    if launch.scheduler == "local_cwd":
        return None
    place = Path.cwd() / ".geovr" / "jobs"
    place.mkdir(parents=True, exist_ok=True)
    return place


def _absolute(uri: str) -> str:
    return uri if is_s3(uri) else str(Path(uri).resolve())


def _dryrun(runner: Any, stage: Stage, launch: LaunchConfig, place: str, logs: Path) -> Any:
    app = make_app(stage.name, launch, place, _free_port())
    if launch.scheduler == "local_cwd":
        options: dict[str, Any] = {"log_dir": str(logs), "prepend_cwd": False}
        return runner.dryrun(app, "local_cwd", options)
    from torchx.specs import BindMount

    here = str(Path.cwd())
    app.roles[0].mounts = [BindMount(src_path=here, dst_path=here)]
    app.roles[0].env["PYTHONPATH"] = os.environ.get("PYTHONPATH", "")
    options = {"copy_env": ["AWS_*", "MLFLOW_*", "HF_HUB_OFFLINE"]}
    return runner.dryrun(app, "local_docker", options)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _run_once(stage: Stage, launch: LaunchConfig, channel: Channel, logs: Path) -> str:
    """Run the app, following its log; gives the final state."""
    from torchx.runner import get_runner
    from torchx.schedulers.api import Stream
    from torchx.schedulers.local_scheduler import SignalException

    logging.getLogger("torchx").setLevel(logging.WARNING)
    try:
        with get_runner() as runner:
            info = _dryrun(runner, stage, launch, channel.place, logs)
            with watch.signals_interrupt(stage.name):
                handle = runner.schedule(info)
                streams = Stream.STDERR if launch.scheduler == "local_cwd" else None
                follower = watch.Follower(runner, handle, streams)
                try:
                    for node in range(launch.nodes):
                        follower.follow(lambda node=node: node)  # type: ignore[misc]
                    state = watch.wait(
                        runner,
                        handle,
                        poll_s=_POLL_S,
                        patience_s=_GRACE_S,
                        broken=LostAgent(launch, channel),
                    )
                    if state == "BROKEN":
                        watch.cancel(runner, handle, poll_s=_POLL_S)
                    follower.end()
                    return state
                except BaseException:
                    watch.cancel(runner, handle, poll_s=_POLL_S)
                    _end_all(channel.place)
                    raise
                finally:
                    follower.stop()
    except SignalException:
        # in the moment between TorchX's handler and ours
        raise errors.Interrupted(f"{stage.name}: stopped by a signal before it started") from None


class LostAgent:
    """Whether an agent died without a word, and the others have had their time to notice.

    Those that train notice at once; one that still waits for all nodes to come together would
    wait for ten minutes.
    """

    def __init__(self, launch: LaunchConfig, channel: Channel) -> None:
        self._watched = launch.scheduler == "local_cwd"  # containers count processes anew
        self._nodes, self._channel = launch.nodes, channel
        self._since: float | None = None

    def __call__(self) -> bool:
        """Look now."""
        if not self._watched:
            return False
        pids, codes = self._channel.agents(), self._channel.exit_codes(self._nodes)
        if not any(
            codes[n] is None and not Path(f"/proc/{pid}").exists() for n, pid in pids.items()
        ):
            self._since = None
            return False
        now = time.monotonic()
        self._since = self._since or now
        return now - self._since > _GRACE_S


def _end_all(place: str) -> None:
    """Wait for the ranks that a killed agent left, and end what does not go by itself: two jobs
    must not write one training's state.
    """
    deadline = time.monotonic() + _GRACE_S
    while (left := list(_processes(place))) and time.monotonic() < deadline:
        time.sleep(_POLL_S)
    for pid in left:
        log.warning("process %d of an ended job did not stop; killing it", pid)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _processes(place: str) -> Iterator[int]:
    """Processes of this machine that work at a place."""
    wanted = place.encode()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            arguments = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if wanted in arguments:
            yield int(path.parent.name)


def require_visible(config: StageConfig, launch: LaunchConfig, output: Path) -> None:
    """Refuse places that containers can't see.

    Raises:
        UserError: naming the place.
    """
    if launch.scheduler != "local_docker":
        return
    places = {"store": config.store, "--output": str(output)}
    for what, uri in places.items():
        if not is_s3(uri) and not Path(uri).resolve().is_relative_to(Path.cwd()):
            raise UserError(
                f"{what} {uri}: containers see the working directory {Path.cwd()} only; choose a"
                " place below it, or s3://..."
            )
