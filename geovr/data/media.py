"""Where videos come from: a folder, a list file, or an s3:// prefix, under relative names."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from geovr.errors import UserError
from geovr.storage import Store, is_s3


class Media:
    """Files by relative name; `open` gives a local path for as long as the block runs."""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self._paths: dict[str, Path] = {}
        self._store: Store | None = None
        if is_s3(uri):
            self._store = Store.open(uri)
            # keys that end in a slash are the folders that S3 consoles make
            keys = self._store.keys("")
            self.names = [key for key in keys if key and not key.endswith("/") and _shown(key)]
        else:
            self._paths = _local(Path(uri))
            self.names = sorted(self._paths)
        if not self.names:
            raise UserError(f"{uri}: no files here; check ingest.videos")

    @classmethod
    def of(cls, paths: dict[str, Path], uri: str) -> Media:
        """Files that were found already, by name.

        Raises:
            UserError: when there is none.
        """
        if not paths:
            raise UserError(f"{uri}: none of the media that its questions are about is there")
        media = cls.__new__(cls)
        media.uri, media._store = uri, None
        media._paths, media.names = dict(paths), sorted(paths)
        return media

    def uri_of(self, name: str) -> str:
        """Where a file lies."""
        return self._store.uri_of(name) if self._store else str(self._paths[name])

    @contextmanager
    def open(self, name: str) -> Iterator[Path]:
        """A local path of the file, which for S3 is a copy that goes away after the block."""
        if self._store is None:
            yield self._paths[name]
            return
        with tempfile.TemporaryDirectory(prefix="geovr-") as scratch:
            # a key may be longer than a file's name
            path = Path(scratch) / f"file{Path(name).suffix}"
            path.write_bytes(self._store.get(name))
            yield path


def _shown(name: str) -> bool:
    return not any(part.startswith(".") for part in name.split("/"))


def _walk(root: Path, seen: frozenset[Path] = frozenset()) -> Iterator[Path]:
    """Files below a folder, also through links to folders; a link to nothing is named too."""
    real = root.resolve()
    if real in seen:
        return
    for path in sorted(root.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_dir():
            yield from _walk(path, seen | {real})
        else:
            yield path


def _local(root: Path) -> dict[str, Path]:
    if root.is_dir():
        return {path.relative_to(root).as_posix(): path for path in _walk(root)}
    if root.is_file() and root.suffix in (".txt", ".list"):
        try:
            lines = [line.strip() for line in root.read_text(encoding="utf-8-sig").split("\n")]
        except UnicodeDecodeError:
            raise UserError(f"{root}: not a UTF-8 text; ingest.videos needs paths") from None
        return {line: root.parent / line for line in lines if line and not line.startswith("#")}
    raise UserError(
        f"{root}: no such folder; ingest.videos takes a folder, a .txt list of paths, or an s3://"
        " prefix"
    )
