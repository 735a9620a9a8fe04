"""The laptop's MLflow database: a file that is made whole or not at all.

MLflow creates and migrates its tables one by one in the file itself, for seconds. A process that is
killed in between leaves a database that MLflow refuses from then on ("table ... already exists"),
and two that begin together get in each other's way. So one process makes it under another name,
while the others wait, and moves it to its place.
"""

from __future__ import annotations

import fcntl
import logging
import sqlite3
import time
from contextlib import closing
from pathlib import Path

log = logging.getLogger(__name__)

_PREFIX = "sqlite:///"
_BESIDE = ("-journal", "-wal", "-shm")
"""What SQLite keeps beside a database belongs to it; beside another one it destroys it."""
_QUIET_S = 30.0
"""An unfinished database that nobody wrote to for so long is nobody's work."""
_whole: set[Path] = set()


def file_of(uri: str) -> Path | None:
    """The file of a SQLite database's URI; None for a server and for a database in memory."""
    name = uri.removeprefix(_PREFIX)
    if name == uri or not name or name.startswith((":memory:", "file:")) or "?" in name:
        return None
    return Path(name)


def make_whole(uri: str) -> None:
    """See to it that a SQLite database has MLflow's tables; any other URI is left to MLflow.

    An unfinished one, which can hold no run, is put aside as `NAME.unfinished`.
    """
    path = file_of(uri)
    if path is None or (path in _whole and path.exists()):
        return
    written = _written(path)  # before the first look, which rolls back what a kill left half done
    if not _is_used(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.with_name(f".{path.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # until the file is closed, also by SIGKILL
            _wait_for_others(path, written)
            if not _is_used(path):
                _make(path)
    _whole.add(path)


def _is_used(path: Path) -> bool:
    """Whether it has an experiment, which is what MLflow puts last into a new database."""
    if not path.exists():
        return False
    with closing(sqlite3.connect(path, timeout=20)) as database:
        try:
            found = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            tables = {name for (name,) in found}
            if not tables:
                return False
            if "experiments" in tables:
                return database.execute("SELECT 1 FROM experiments LIMIT 1").fetchone() is not None
        except sqlite3.DatabaseError as error:
            log.debug("%s: %s", path, error)
    return True  # something else, or at work this moment: MLflow says what it thinks of it


def _written(path: Path) -> float:
    return path.stat().st_mtime if path.exists() else 0.0


def _wait_for_others(path: Path, written: float) -> None:
    """Wait while somebody else, `mlflow ui` say, may be making it."""
    seen = _written(path)
    while path.exists() and time.time() - written < _QUIET_S and not _is_used(path):
        time.sleep(0.2)
        if _written(path) != seen:
            seen = written = _written(path)


def _make(path: Path) -> None:
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    if path.exists():
        log.warning("%s: was never finished, and holds no run; put aside as *.unfinished", path)
        _move(path, path.with_name(f"{path.name}.unfinished"))
    making = path.with_name(f".{path.name}.making")
    left = [making, *(p.with_name(p.name + name) for p in (making, path) for name in _BESIDE)]
    for part in left:
        part.unlink(missing_ok=True)
    SqlAlchemyStore(f"{_PREFIX}{making}", "./mlruns").engine.dispose()
    making.replace(path)


def _move(source: Path, target: Path) -> None:
    """Move a database with what belongs to it; that first, lest another database find it."""
    for name in ("", *_BESIDE):
        part = source.with_name(source.name + name)
        if part.exists():
            part.replace(target.with_name(target.name + name))
