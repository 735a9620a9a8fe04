"""Which data a run would read: a version that changes when, and only when, the content does."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from geovr.config import digest
from geovr.errors import UserError
from geovr.ingesting.config import IngestConfig
from geovr.storage import Store, is_s3, sha256_file
from geovr.storage_dvc import dvc_version


@dataclass(frozen=True)
class DataVersion:
    """A version of the data.

    Attributes:
        key: equal for equal content.
        told: the same for people: where, and which revision.
        rev: the commit that a branch of a DVC repository stands at.
    """

    key: str
    told: str
    rev: str | None = None


def data_version(config: IngestConfig) -> DataVersion:
    """The version of what ingest would read now, without reading it where that can be avoided.

    DVC's md5 for a path of a DVC repository, whatever commit has it; the content digest for a
    ClipSet; else all files with what S3 says about each (size and ETag), or, on this machine, with
    their sha256.

    Raises:
        UserError: when nothing is there.
        StoreError: when S3 can't be asked.
    """
    if config.window is not None:
        from geovr.ingesting.window import resolved

        config = resolved(config)
    if config.dvc is not None:
        md5, rev = dvc_version(config.dvc.repo, config.dvc.rev, config.dvc.path)
        where = f"{config.dvc.path} of {config.dvc.repo} at {rev[:12] or 'no commit'}"
        return DataVersion(f"dvc-{md5}", f"{where}, DVC md5 {md5}", rev or None)
    if config.clips is not None:
        from geovr.artifacts import ClipSet

        found = ClipSet.load(config.clips).manifest.content_digest
        return DataVersion(f"clips-{found}", f"ClipSet {config.clips}, digest {found}")
    places = [str(config.videos or (config.benchmark and config.benchmark.path))]
    places += [source.path for source in config.questions]
    files = [(place, _files(place)) for place in places]
    count = sum(len(found) for _, found in files)
    key = digest([found for _, found in files])
    return DataVersion(f"files-{key}", f"{count} files of {', '.join(places)}, digest {key}")


def _files(place: str) -> list[tuple[str, str]]:
    """Name and version of each file that a place of the config names."""
    if is_s3(place):
        prefix, _, name = place.rstrip("/").rpartition("/")
        found = Store.open(place).versions("")
        if not found and not place.endswith("/") and prefix.count("/") > 1:
            found = [one for one in Store.open(prefix).versions(name) if one[0] == name]
        if not found:
            raise UserError(f"{place}: nothing is stored there; check ingest.videos and questions")
        return found
    path = Path(place)
    if path.is_file():
        named = [path]
        if path.suffix in (".txt", ".list"):
            from geovr.data.media import Media

            named += [Path(Media(place).uri_of(name)) for name in Media(place).names]
        return [(file.name, sha256_file(file)) for file in named]
    if not path.is_dir():
        raise UserError(f"{place}: no such file or directory; check ingest.videos and questions")
    return Store.open(place).versions("")
