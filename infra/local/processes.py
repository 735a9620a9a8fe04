"""Programs that go on running when the one that started them has ended."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import psutil

from geovr.errors import UserError

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Process:
    """A program that was started.

    Attributes:
        name: what it is, for people.
        pid: of its first process.
        began: when that was created, seconds since 1970: process numbers are used again.
        log: its output.
    """

    name: str
    pid: int
    began: float
    log: str

    def alive(self) -> bool:
        """Whether it still runs."""
        try:
            found = psutil.Process(self.pid)
            same: bool = abs(found.create_time() - self.began) < 1
            return same and str(found.status()) != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    def tail(self, characters: int = 2000) -> str:
        """The end of its log."""
        try:
            return Path(self.log).read_text(errors="replace")[-characters:]
        except OSError as error:
            return f"(no log: {error})"

    def stop(self, number: int = signal.SIGTERM, patience_s: float = 20) -> None:
        """End it and what it started: first as it wishes, then by force."""
        if self.alive():
            tree = [psutil.Process(self.pid)]
            tree += tree[0].children(recursive=True)
            with contextlib.suppress(psutil.NoSuchProcess):
                tree[0].send_signal(number)
            _, left = psutil.wait_procs(tree, timeout=patience_s)
            for process in left:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            psutil.wait_procs(left, timeout=5)
        with contextlib.suppress(ChildProcessError):  # another one's child
            os.waitpid(self.pid, os.WNOHANG)


def start(
    name: str,
    command: Sequence[str],
    log: Path,
    *,
    variables: Mapping[str, str] | None = None,
    user: str | None = None,
) -> Process:
    """Start a program that outlives this one.

    Args:
        name: what it is.
        command: program and arguments; no secret belongs there, all users can read it.
        log: file for its output.
        variables: of its environment, besides this one's.
        user: to run as, when root starts it.
    """
    with log.open("ab") as told:
        made = subprocess.Popen(
            command,
            env=os.environ | (variables or {}),
            stdin=subprocess.DEVNULL,
            stdout=told,
            stderr=told,
            start_new_session=True,
            user=user,
            group=user,
            extra_groups=[] if user else None,
            cwd="/" if user else None,
        )
    return Process(name, made.pid, psutil.Process(made.pid).create_time(), str(log))


@contextlib.contextmanager
def stopped_on_failure(
    process: Process, stop: Callable[[Process], None] = Process.stop
) -> Iterator[None]:
    """Stop a program if the block, in which it becomes ready, fails or is interrupted."""
    try:
        yield
    except BaseException:
        stop(process)
        raise


def wait_until(ready: Callable[[], object], process: Process, patience_s: float = 120) -> None:
    """Wait until a program answers.

    Args:
        ready: asks it something small; raises as long as it doesn't answer.
        process: the program.
        patience_s: how long at most.

    Raises:
        UserError: with the end of its log.
    """
    deadline = time.monotonic() + patience_s
    while True:
        try:
            ready()
            return
        except Exception as error:  # whatever a client raises of a server that isn't up yet
            late = time.monotonic() > deadline
            if late or not process.alive():
                how = f"didn't answer within {patience_s:.0f} s ({error})" if late else "ended"
                raise UserError(
                    f"{process.name} {how}; the end of {process.log}:\n{process.tail()}"
                ) from None
        time.sleep(0.25)


def find(program: str, *places: str, remedy: str) -> str:
    """Where a program is: beside this Python, on the path, or in some further places.

    Raises:
        UserError: with the remedy when it is nowhere.
    """
    beside = str(Path(sys.executable).parent)
    path = os.pathsep.join([beside, os.environ.get("PATH", ""), *places])
    found = shutil.which(program, path=path)
    if found is None:
        raise UserError(f"no program {program} on this machine: {remedy}")
    return found


def forget(directory: Path, names: Iterable[str]) -> None:
    """Delete what programs kept in a directory, and that too when nothing else is there.

    Args:
        directory: of theirs.
        names: in it; the one that says what the rest is goes last, so that this can be done again.
    """
    for path in (directory / name for name in names):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # something else lies there
        directory.rmdir()


def free_ports(count: int) -> list[int]:
    """Distinct ports of the loopback: all probes are open at once."""
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind((LOOPBACK, 0))
        return [int(probe.getsockname()[1]) for probe in probes]
