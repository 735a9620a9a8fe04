"""Supervisor of the decoding processes: asks, waits so long, no longer, and replaces the dead."""

from __future__ import annotations

import json
import os
import select
import struct
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from geovr.data.decode_worker import EXHAUSTED, OBJECT
from geovr.data.sampling import SamplerConfig
from geovr.data.video import LimitsConfig, VideoError
from geovr.errors import UserError

_HEADER = struct.Struct("<QB")
_START_S = 120.0


class _Worker:
    """One decoding process."""

    def __init__(self, limits: LimitsConfig, command: tuple[str, ...]) -> None:
        self.limits = limits
        # no secret of ours is any business of a process that opens strangers' files
        kept = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "VIRTUAL_ENV", "HOME", "LANG", "TMPDIR")
        self.process = subprocess.Popen(
            [*command, limits.model_dump_json()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={name: os.environ[name] for name in kept if name in os.environ},
        )
        self.ready = False

    def ask(self, job: dict[str, object], seconds: float) -> tuple[int, bytes]:
        """One job's answer; the time that the process takes to start doesn't count.

        Raises:
            TimeoutError: when it isn't there in time.
            BrokenPipeError: when the process died.
        """
        stdin = self.process.stdin
        if stdin is None:
            raise BrokenPipeError
        if not self.ready:
            self._read(_HEADER.size, time.monotonic() + _START_S)
            self.ready = True
        deadline = time.monotonic() + seconds
        stdin.write(json.dumps(job).encode() + b"\n")
        stdin.flush()
        length, kind = _HEADER.unpack(self._read(_HEADER.size, deadline))
        return kind, self._read(length, deadline)

    def _read(self, count: int, deadline: float) -> bytes:
        stdout = self.process.stdout
        if stdout is None:
            raise BrokenPipeError
        parts, left = [], count
        while left:
            ready, _, _ = select.select([stdout], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                raise TimeoutError
            part = os.read(stdout.fileno(), min(left, 1 << 20))
            if not part:
                raise BrokenPipeError
            parts.append(part)
            left -= len(part)
        return b"".join(parts)

    def stop(self, grace_s: float = 0.0) -> int:
        """End the process, at once or when it hasn't ended by itself; gives its exit code."""
        try:
            code = self.process.wait(grace_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with suppress(BrokenPipeError):  # a job that the dead process never read
                    pipe.close()
        return code


class DecodePool:
    """Decodes files in worker processes; safe to use from as many threads as there are workers.

    Args:
        sampler: which frames.
        limits: per file.
        command: starts a worker; another one is given by tests that inject faults.
    """

    def __init__(
        self,
        sampler: SamplerConfig,
        limits: LimitsConfig,
        command: tuple[str, ...] = (sys.executable, "-m", "geovr.data.decode_worker"),
    ) -> None:
        self.sampler, self.limits, self.command = sampler, limits, command
        self._idle: list[_Worker] = []
        self._lock = threading.Lock()

    def __enter__(self) -> DecodePool:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for worker in self._idle:
            worker.stop()

    def decode(self, paths: list[Path], *, images: bool) -> bytes:
        """The clip object of a video, or of the images of one clip.

        Raises:
            VideoError: when there is none: a refusal, a crash, or a file that takes too long.
            UserError: when decoding processes don't start at all.
        """
        job: dict[str, object] = {
            "paths": [str(path) for path in paths],
            "images": images,
            "sampler": self.sampler.model_dump(),
        }
        with self._lock:
            served = self._idle.pop() if self._idle else None
        if served is not None:
            try:
                return self._ask(served, job)
            except BrokenPipeError:
                # an earlier file may have spoilt the process; a fresh one tells whose fault it is
                pass
        worker = _Worker(self.limits, self.command)
        try:
            return self._ask(worker, job)
        except BrokenPipeError:
            code = worker.process.returncode
            if not worker.ready:
                raise UserError(
                    f"the decoding process doesn't start (exit code {code}); raise"
                    f" ingest.limits.memory_mb, or see what {' '.join(self.command)} prints"
                ) from None
            raise VideoError(
                f"the decoder crashed on it (exit code {code})",
                "re-encode it, or raise ingest.limits.memory_mb",
            ) from None

    def _ask(self, worker: _Worker, job: dict[str, object]) -> bytes:
        """A process's answer; after it the process is idle again, or has ended."""
        try:
            kind, data = worker.ask(job, self.limits.seconds)
        except TimeoutError:
            worker.stop()
            raise VideoError(
                f"decoding took more than {self.limits.seconds:.0f} s and was stopped",
                "re-encode it, or raise ingest.limits.seconds",
            ) from None
        except BrokenPipeError:
            worker.stop(grace_s=5.0)
            raise
        except BaseException:
            worker.stop()
            raise
        if kind == EXHAUSTED:
            worker.stop()  # what is left of its memory must not be the next file's fault
        else:
            with self._lock:
                self._idle.append(worker)
        if kind == OBJECT:
            return data
        refusal = json.loads(data)
        raise VideoError(refusal["reason"], refusal["remedy"])
