"""A stage as a Volcano job on Kubernetes: submitted once under its name, watched to its end."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any

from geovr.config import StageConfig, digest
from geovr.errors import Interrupted, UserError
from geovr.launch import kubernetes, watch
from geovr.launch.app import make_app
from geovr.launch.channel import Channel, Work
from geovr.launch_config import LaunchConfig
from geovr.stages import Stage
from geovr.stages.run import INPUTS
from geovr.storage import is_s3

log = logging.getLogger("geovr")

_POLL_S = 10.0
_PATIENCE_S = 900.0


def job_name(stage: Stage, config: StageConfig, inputs: dict[str, str]) -> str:
    """Name of a job: the same for the same work, wherever and on however many nodes it runs.

    Args:
        stage: which.
        config: its config; where it runs is left out.
        inputs: artifact name -> content digest, or URI where there is no artifact yet.
    """
    said = config.model_dump(mode="json", exclude={"launch"})
    return f"geovr-{stage.name.replace('_', '-')}-{digest({'config': said, 'inputs': inputs})[:12]}"


def render(stage: Stage, config: StageConfig, launch: LaunchConfig, inputs: dict[str, str]) -> Any:
    """TorchX's dry run of the job, its request being what is to be submitted.

    Raises:
        UserError: for what pods could not reach.
    """
    from torchx.runner import get_runner

    name = job_name(stage, config, {key: _identity(key, uri) for key, uri in inputs.items()})
    place = _place(config, launch, name)
    with get_runner() as runner, warnings.catch_warnings():
        # TorchX warns of what Volcano 1.4 could not do
        warnings.simplefilter("ignore", UserWarning)
        app = make_app(stage.name, launch, place)
        info = runner.dryrun(app, "kubernetes", kubernetes.options(launch))
    info.request.resource = kubernetes.complete(info.request.resource, name, launch)
    return info


def run(
    stage: Stage,
    config: StageConfig,
    launch: LaunchConfig,
    inputs: dict[str, str],
    output: Path,
    *,
    poll_s: float = _POLL_S,
    patience_s: float = _PATIENCE_S,
) -> None:
    """Run the stage as a job, or wait for the one of this name that runs already.

    Raises:
        UserError, GateRefused: what the stage raised.
        Interrupted: on SIGTERM or SIGINT, once the job is cancelled.
        RuntimeError: when the job failed, vanished, or the cluster can't be reached.
    """
    from torchx.runner import get_runner

    opened = {name: INPUTS[name].load(uri) for name, uri in inputs.items()}
    for name, artifact in opened.items():
        _require_reachable(f"{inputs[name]} is in store", artifact.manifest.store, launch)
    info = render(stage, config, launch, inputs)
    name = info.request.resource["metadata"]["name"]
    channel = Channel(_place(config, launch, name))
    logging.getLogger("torchx").setLevel(logging.WARNING)
    with get_runner() as runner, watch.signals_interrupt(stage.name):
        handle = f"kubernetes://{runner.name()}/{launch.kubernetes.namespace}:{name}"
        follower = watch.Follower(runner, handle, None)
        try:
            if not _runs(runner, handle):
                reached = {
                    key: uri if is_s3(uri) else channel.put_input(key, opened[key].directory)
                    for key, uri in inputs.items()
                }
                said = config.model_dump(mode="json")
                channel.start(Work(stage=stage.name, config=said, inputs=reached))
                _submit(runner, info, handle)
            log.info("%s: %s", stage.name, handle)
            follower.follow(channel.first_node)
            state = watch.wait(runner, handle, poll_s=poll_s, patience_s=patience_s)
            follower.end()
        except (Interrupted, KeyboardInterrupt, SystemExit):
            # any other failure of ours leaves the job alone: the same command adopts it
            watch.cancel(runner, handle, poll_s=min(poll_s, 1.0))
            raise
        finally:
            follower.stop()
    if state != "SUCCEEDED":
        told = channel.told()
        if told is not None and told.final:
            raise told.exception()
        raise RuntimeError(f"{stage.name}: {handle} ended {state}; its log says why")
    channel.get_output(output)


def _runs(runner: Any, handle: str) -> bool:
    """Whether the job exists and has not ended; one that has ended gives its name away."""
    from torchx.specs import is_terminal

    try:
        status = runner.status(handle)
    except Exception as error:
        raise _unreachable(error, handle) from error
    if status is None:
        return False
    if is_terminal(status.state):
        log.info("%s: an earlier job ended %s; starting anew", handle, status.state.name)
        runner.delete(handle)
        return False
    log.info("%s: runs already; waiting for it", handle)
    return True


def _submit(runner: Any, info: Any, handle: str) -> None:
    """Create the job; where another launcher was faster, theirs is ours."""
    try:
        runner.schedule(info)
    except Exception as error:
        # TorchX hides the API server's answer to a taken name in the cause
        if getattr(error.__cause__, "status", None) != 409:
            raise _unreachable(error, handle) from error
        log.info("%s: runs already; waiting for it", handle)


def _unreachable(error: Exception, handle: str) -> Exception:
    """What the user reads when the cluster refuses or does not answer."""
    if isinstance(error, Interrupted):
        return error
    if getattr(error, "status", None) in (401, 403):
        namespace = handle.rpartition("/")[2].partition(":")[0]
        return UserError(
            f"kubernetes: this account may not use Volcano jobs in namespace {namespace}; it needs"
            " create, get, delete and update of jobs and jobs/status in batch.volcano.sh, and get"
            " of pods and pods/log"
        )
    return RuntimeError(
        f"{handle}: the cluster did not take it ({type(error).__name__}: {error}); look at"
        " KUBECONFIG, or at the account that this pod runs under"
    )


def _identity(name: str, uri: str) -> str:
    """Content digest of an input; its URI where a dry run comes before it exists."""
    try:
        return INPUTS[name].load(uri).digest
    except UserError:
        return uri


def _place(config: StageConfig, launch: LaunchConfig, name: str) -> str:
    _require_reachable("store", config.store, launch)
    return f"{config.store.rstrip('/')}/jobs/{name}"


def _require_reachable(what: str, uri: str, launch: LaunchConfig) -> None:
    """Refuse a place that pods can't see."""
    if "$" in uri:
        raise UserError(f"{what} {uri}: a job's place can't contain $; choose another")
    mounted = [volume.path for volume in launch.kubernetes.volumes]
    if not is_s3(uri) and not any(Path(uri).is_relative_to(path) for path in mounted):
        raise UserError(
            f"{what} {uri}: pods can't see it; use s3://..., or a directory below one of"
            f" launch.kubernetes.volumes ({', '.join(mounted) or 'none is given'})"
        )
