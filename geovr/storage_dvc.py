"""Data that DVC versions: which version a path is of, and its bytes. The only user of DVC."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from geovr.errors import UserError


def fetch_dvc(repo: str, rev: str | None, path: str, target: Path) -> Path:
    """Bring a path of a DVC repository at a revision to `target`, whole, and give the place.

    Raises:
        UserError: with DVC's own last line when it can't.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".fetching-", dir=target.parent) as scratch:
        place = Path(scratch) / "data"
        command = [sys.executable, "-m", "dvc", "get", "--quiet", repo, path, "--out", str(place)]
        if rev:
            command += ["--rev", rev]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode != 0:
            reason = (result.stderr.strip().splitlines() or ["no message"])[-1]
            raise UserError(f"dvc: {repo} at {rev or 'HEAD'}, path {path}: {reason}")
        with suppress(OSError):  # another process has put it there, or is about to
            if target.exists():
                target.rename(Path(scratch) / "before")
            place.rename(target)
    if not target.exists():
        raise UserError(f"{target}: can't be written; give access there and run this again")
    return target


def dvc_version(repo: str, rev: str | None, path: str) -> tuple[str, str]:
    """The md5 and the commit of a path of a DVC repository at a revision; no data is fetched.

    A path within a tracked directory has that directory's md5; one that DVC doesn't track as a
    whole has the commit in its place. Without git there is no commit: an empty text.

    Raises:
        UserError: with DVC's own last line when it can't be found.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo
    from dvc.repo.open_repo import clean_repos
    from scmrepo.exceptions import SCMError

    place = Path(repo)
    git = rev is not None or not place.is_dir() or (place / ".git").exists()
    # without a revision DVC would take what lies in a directory, committed or not
    wanted = rev or ("HEAD" if place.is_dir() and git else None)
    try:
        with Repo.open(repo, rev=wanted) as opened:
            commit = str(opened.get_rev()) if git else ""
            found = opened.fs.join(opened.root_dir, path)
            if not opened.dvcfs.exists(path):
                raise FileNotFoundError("no such path there")
            for out in opened.index.outs:
                if opened.fs.isin_or_eq(found, out.fs_path):
                    return str(out.hash_info.value), commit
    except (DvcException, SCMError, OSError) as error:
        told = str(error.__cause__ or error).strip().splitlines() or [type(error).__name__]
        raise UserError(f"dvc: {repo} at {rev or 'HEAD'}, path {path}: {told[-1]}") from None
    finally:
        clean_repos()
    return commit, commit


def dvc_pointer(path: Path) -> dict[str, str] | None:
    """What DVC knows of a path: the md5 in the .dvc file of the path or of a parent of it."""
    import yaml

    for pointer in pointer_files(path):
        out = yaml.safe_load(pointer.read_text())["outs"][0]
        return {"path": str(out["path"]), "md5": str(out["md5"])}
    return None


def pointer_files(path: Path) -> Iterator[Path]:
    """The .dvc files of a path and of its parents, nearest first."""
    for place in (path, *path.parents):
        pointer = place.with_name(f"{place.name}.dvc") if place.name else None
        if pointer is not None and pointer.is_file():
            yield pointer
