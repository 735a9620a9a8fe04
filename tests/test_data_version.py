"""Versions of data: what a branch, a tag and a path come to, and what lies beside the clips."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from geovr import data_version
from geovr.artifacts import ClipSet
from geovr.errors import UserError
from geovr.ingesting.config import DvcSource
from geovr.storage_dvc import dvc_version
from tests.workspace import environment


def do(place: Path, *command: str) -> str:
    told = subprocess.run(
        command, cwd=place, env=environment(place), check=True, capture_output=True, text=True
    )
    return told.stdout.strip()


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two commits, the first with a tag; then a change that is not committed."""
    place = tmp_path_factory.mktemp("repository")
    root = place / "git"
    root.mkdir()
    do(root, "git", "init", "--quiet", "--initial-branch", "main")
    do(root, "git", "config", "user.name", "someone")
    do(root, "git", "config", "user.email", "someone@example.org")
    do(root, "dvc", "init", "--quiet")
    do(root, "dvc", "remote", "add", "--quiet", "--default", "kept", str(place / "remote"))
    for text in ("one", "two", "three"):
        (root / "data/truth").mkdir(parents=True, exist_ok=True)
        (root / "data/video").write_text(f"video {text}")
        (root / "data/truth/scene").write_text(f"truth {text}")
        do(root, "dvc", "add", "--quiet", "data")
        do(root, "dvc", "push", "--quiet")
        if text == "three":
            break
        do(root, "git", "add", "--all")
        do(root, "git", "commit", "--quiet", "--message", text)
        if text == "one":
            do(root, "git", "tag", "--annotate", "--message", "one", "v1")
    return root


def clips(details: dict[str, Any], store: Path) -> ClipSet:
    manifest = SimpleNamespace(details={"dvc": details}, store=str(store))
    return cast(ClipSet, SimpleNamespace(manifest=manifest))


def test_a_tag_and_no_revision_come_to_the_commit(repository: Path) -> None:
    first, second = (
        do(repository, "git", "rev-parse", f"{rev}^{{commit}}") for rev in ("v1", "main")
    )
    found = {rev: dvc_version(str(repository), rev, "data") for rev in ("v1", "main", None)}
    assert found["v1"][1] == first and found["v1"][0].endswith(".dir")
    # what is not committed is no version
    assert found["main"] == found[None] and found[None][1] == second
    assert found["v1"][0] != found["main"][0]
    # so it is for one that is cloned, and of a part the whole's md5 is told
    assert dvc_version(f"file://{repository}", first[:12], "data/truth") == found["v1"]
    assert dvc_version(f"file://{repository}", None, "data") == found["main"]


@pytest.mark.parametrize(
    ("rev", "path", "told"),
    [("v9", "data", "unknown Git revision 'v9'"), ("v1", "datum", "path datum: no such path")],
)
def test_what_is_not_there_is_named(repository: Path, rev: str, path: str, told: str) -> None:
    with pytest.raises(UserError, match=told):
        dvc_version(str(repository), rev, path)


def test_what_is_fetched_is_what_is_told(repository: Path, tmp_path: Path) -> None:
    place, version = data_version.fetch(str(repository), "v1", "data", str(tmp_path))
    assert (place / "video").read_text() == "video one"
    assert version["rev"] == do(repository, "git", "rev-parse", "v1^{commit}")
    (place / "video").write_text("changed in the cache")
    again, same = data_version.fetch(str(repository), str(version["rev"]), "data", str(tmp_path))
    assert (again / "video").read_text() == "video one" and (again, same) == (place, version)
    assert not [path for path in place.parent.iterdir() if path != place]
    assert data_version.tags(version) == {
        f"geovr.data.{name}": str(version[name]) for name in ("repo", "rev", "path", "md5")
    }


def test_ground_truth_is_of_the_clips_own_commit(repository: Path, tmp_path: Path) -> None:
    rev = do(repository, "git", "rev-parse", "v1^{commit}")
    version = {"repo": str(repository), "rev": rev, "path": "data"}
    for _ in ("fetched", "found"):
        place = data_version.beside("key", "dvc:truth", clips(version, tmp_path / "a"))
        assert Path(place, "scene").read_text() == "truth one"
        assert not (Path(place).parent / "video").exists()
    whole, _ = data_version.fetch(str(repository), rev, "data", str(tmp_path / "b"))
    found = data_version.beside("key", "dvc:truth", clips(version, tmp_path / "b"))
    assert found == str(whole / "truth")
    assert data_version.beside("key", "truth", clips(version, tmp_path)) == "truth"
    local = {"path": "videos", "md5": "1.dir"}
    with pytest.raises(UserError, match="key: dvc:truth: the clips' data came by no commit"):
        data_version.beside("key", "dvc:truth", clips(local, tmp_path))


def test_a_directory_without_git_has_a_md5_and_no_commit(tmp_path: Path) -> None:
    do(tmp_path, "dvc", "init", "--quiet", "--no-scm")
    (tmp_path / "data").mkdir()
    (tmp_path / "data/video").write_text("video")
    do(tmp_path, "dvc", "add", "--quiet", "data")
    place, version = data_version.fetch(str(tmp_path), None, "data", str(tmp_path / "store"))
    assert (place / "video").read_text() == "video"
    assert version["rev"] is None and version["md5"].endswith(".dir")
    assert set(data_version.tags(version)) == {f"geovr.data.{n}" for n in ("repo", "path", "md5")}


@pytest.mark.fault(52)
def test_a_repository_with_a_password_in_it_is_refused() -> None:
    for repo in ("https://someone:secret@example.org/r.git", "https://token@example.org/r.git",
                 "ssh://git:secret@example.org/r.git"):  # fmt: skip
        with pytest.raises(ValueError, match="holds a password or token"):
            DvcSource(repo=repo, path="data")
