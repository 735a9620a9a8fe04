"""A running job: submitted or adopted, followed, waited for, cancelled."""

from __future__ import annotations

import logging
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from geovr.errors import Interrupted
from geovr.launch.app import ROLE

log = logging.getLogger("geovr")

_CANCEL_S = 60.0
_RECONNECT_S = 2.0
_TIMESTAMP = re.compile(r"^(\d{4}-\d\d-\d\dT[\d:.]+Z) ")


@contextmanager
def signals_interrupt(what: str) -> Iterator[None]:
    """SIGTERM and SIGINT raise Interrupted, once: a second one must not stop the cancelling.

    TorchX's local scheduler sets handlers of its own when it is made, and a pipeline component has
    none at all, so they are set here, around the time in which a job runs.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    seen = threading.Event()

    def stop(number: int, frame: object) -> None:
        if not seen.is_set():
            seen.set()
            raise Interrupted(
                f"{what}: stopped by a signal; the same command goes on from what is done"
            )

    previous = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def wait(
    runner: Any,
    handle: str,
    *,
    poll_s: float,
    patience_s: float,
    broken: Callable[[], bool] = lambda: False,
) -> str:
    """Wait until the job has ended; gives its final state, VANISHED, or BROKEN.

    A job may wait in its queue for days, so there is no limit on that. A scheduler that can't be
    asked is asked again for a while: the job runs on without us.

    Args:
        runner: TorchX's.
        handle: of the job.
        poll_s: seconds between two looks.
        patience_s: seconds for which the scheduler may be away.
        broken: whether a job that runs still can't end well.

    Raises:
        RuntimeError: when it could not be asked for `patience_s` seconds.
    """
    from torchx.specs import is_terminal

    answered = time.monotonic()
    state = ""
    while True:
        try:
            status = runner.status(handle)
        except Interrupted:
            raise
        except Exception as error:
            if time.monotonic() - answered > patience_s:
                raise RuntimeError(
                    f"{handle}: the scheduler has not answered for {patience_s:.0f} s"
                    f" ({type(error).__name__}: {error}); the job may still run, and the same"
                    " command finds it again"
                ) from error
            log.warning("%s: not known at the moment (%s); asking again", handle, error)
            time.sleep(poll_s)
            continue
        answered = time.monotonic()
        if status is None:
            return "VANISHED"
        if status.state.name != state:
            state = status.state.name
            log.debug("%s: %s", handle, state)
        if is_terminal(status.state):
            return str(state)
        if broken():
            return "BROKEN"
        time.sleep(poll_s)


def cancel(runner: Any, handle: str, *, poll_s: float) -> None:
    """Stop the job and wait until it is gone, so that workers save what they have."""
    from torchx.specs import is_terminal

    deadline = time.monotonic() + _CANCEL_S
    asked = False
    while time.monotonic() < deadline:
        try:
            if not asked:
                runner.cancel(handle)
                asked = True
            status = runner.status(handle)
            if status is None or is_terminal(status.state):
                return
        except Exception as error:
            log.warning("%s: can't be cancelled at the moment: %s", handle, error)
        time.sleep(poll_s)
    log.error("%s: still runs; cancel it by hand", handle)


class Follower:
    """Copies logs of a job's nodes to standard error, as they grow."""

    def __init__(self, runner: Any, handle: str, streams: Any) -> None:
        self._runner, self._handle, self._streams = runner, handle, streams
        self._ended = threading.Event()
        self._threads: list[threading.Thread] = []

    def follow(self, node: Callable[[], int]) -> None:
        """Follow a node's log, and go on where a broken connection left off.

        Args:
            node: which; asked at every new connection, since a restart may change it.
        """
        thread = threading.Thread(target=self._copy, args=(node,), daemon=True)
        thread.start()
        self._threads.append(thread)

    def stop(self) -> None:
        """Follow no longer."""
        self._ended.set()

    def end(self) -> None:
        """The job is over: give what is still in the pipe a moment."""
        self.stop()
        for thread in self._threads:
            thread.join(timeout=10)

    def _copy(self, node: Callable[[], int]) -> None:
        last = ""
        while True:
            over, before = self._ended.is_set(), last
            try:
                lines = self._runner.log_lines(
                    self._handle, ROLE, node(), should_tail=True, streams=self._streams
                )
                for line in lines:
                    text = line.rstrip("\n")
                    stamp = _TIMESTAMP.match(text)
                    if stamp is not None:
                        # Kubernetes begins every connection at the first line
                        if stamp[1] <= last:
                            continue
                        last, text = stamp[1], text[stamp.end() :]
                    print(text, file=sys.stderr, flush=True)
                if last == "":
                    # a local file, read to the end of the job
                    return
            except Exception as error:
                log.debug("%s: log not at hand: %s", self._handle, error)
            if over and last == before:
                return
            self._ended.wait(_RECONNECT_S)
