"""`verify` names what a benchmark's directory lacks or has too much of."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from geovr.errors import UserError
from geovr.evaluation.benchmarks import table
from geovr.evaluation.benchmarks.lock import LOCK, read_lock, write_lock
from geovr.evaluation.benchmarks.table import BENCHMARKS, DATASETS
from geovr.evaluation.benchmarks.verify import record, verify
from tests import published
from tests.media import write_video
from tests.workspace import environment

DEBIASED = BENCHMARKS["vsi-bench-debiased"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """VSI-Bench's debiased part, as a fetch left it."""
    directory = published.vsi(tmp_path / "vsi")
    write_lock(directory, record(DEBIASED, directory, "a" * 40))
    return directory


def problems(root: Path, **options: Any) -> str:
    return "\n".join(verify(DEBIASED, root, **options).problems)


def test_a_whole_directory_has_no_problem(root: Path) -> None:
    verdict = verify(DEBIASED, root)
    assert verdict.problems == [] and verdict.notes == []
    assert (verdict.questions, verdict.media, verdict.hashed) == (2, 1, 4)
    assert verdict.revision == "a" * 40


def test_missing_and_empty_media_are_named(root: Path) -> None:
    video = root / "scannet/scene0011_00.mp4"
    video.write_bytes(b"")
    assert "1 media are empty: scannet/scene0011_00.mp4" in problems(root)
    video.unlink()
    assert "1 of 1 media are missing: scannet/scene0011_00.mp4" in problems(root)
    assert problems(root, media=root) == problems(root)


def test_a_changed_byte_is_found_by_its_digest(root: Path) -> None:
    video = root / "scannet/scene0011_00.mp4"
    data = bytearray(video.read_bytes())
    data[100] ^= 1
    video.write_bytes(data)
    assert "1 files are not what was fetched: scannet/scene0011_00.mp4" in problems(root)
    assert problems(root, quick=True) == ""
    video.write_bytes(data[:-1])
    assert "scannet/scene0011_00.mp4" in problems(root, quick=True)


def test_count_and_ids_are_compared_with_what_was_fetched(root: Path) -> None:
    rows = published.vsi_rows()
    published.jsonl(root / "test.jsonl", rows[:1])
    assert "1 questions where VSI-Bench-Debiased has 2" in problems(root)
    published.jsonl(root / "test.jsonl", [rows[0], rows[0]])
    assert "1 ids are there more than once: 0" in problems(root)
    published.jsonl(root / "test.jsonl", [rows[0], rows[2] | {"id": 9}])
    assert "the ids of the questions are others" in problems(root)
    published.jsonl(root / "test.jsonl", [rows[0], {"id": 3}])
    assert "test.jsonl:2: field" in problems(root)


def test_the_tables_count_stands_above_the_directorys_own(tmp_path: Path) -> None:
    root = published.vsi(tmp_path)
    source = BENCHMARKS["vsi-bench"]
    assert "3 questions where VSI-Bench has 5130" in "\n".join(verify(source, root).problems)


def test_one_directory_serves_the_parts_of_a_benchmark_and_no_other(root: Path) -> None:
    verdict = verify(BENCHMARKS["vsi-bench-pruned"], root)
    assert (verdict.questions, verdict.problems) == (1, []) and verdict.hashed == 4
    assert verdict.notes == ["recorded for vsi-bench-debiased: count and ids could not be compared"]
    published.cv_bench(root)
    told = "\n".join(verify(BENCHMARKS["cv-bench"], root).problems)
    assert "is of vsi-bench-debiased, not of cv-bench" in told


def test_another_revision_than_the_pinned_one_is_refused(tmp_path: Path) -> None:
    root = published.cv_bench(tmp_path)
    source = BENCHMARKS["cv-bench"]
    write_lock(root, record(source, root, "b" * 40))
    told = "\n".join(verify(source, root).problems)
    assert f"is of revision {'b' * 40}, but cv-bench is pinned to {source.revision}" in told


def test_a_pinned_digest_stands_above_the_recorded_one(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pinned = table.Source(**(vars(DEBIASED) | {"sha256": {"test.jsonl": "0" * 64}}))
    assert "not what was fetched: test.jsonl" in "\n".join(verify(pinned, root).problems)


def test_an_archive_may_go_once_it_is_unpacked(root: Path) -> None:
    published.zipped(root / "scannet.zip", {"scannet/scene0011_00.mp4": b"x"})
    write_lock(root, record(DEBIASED, root, "a" * 40))
    (root / "scannet.zip").unlink()
    assert problems(root) == ""
    (root / "pruned_ids.txt").unlink()
    assert "1 files are gone: pruned_ids.txt" in problems(root)


def test_a_directory_that_no_fetch_recorded_says_so(tmp_path: Path) -> None:
    root = published.vsi(tmp_path)
    (note,) = verify(DEBIASED, root).notes
    assert LOCK in note and "--record" in note
    (root / LOCK).write_text("{")
    with pytest.raises(UserError, match=f"{LOCK}: damaged"):
        verify(DEBIASED, root)


def test_a_directory_of_another_layout_is_not_recorded(tmp_path: Path) -> None:
    published.jsonl(tmp_path / "test.jsonl", [{"a": 1}])
    with pytest.raises(UserError, match=r"another layout.*nothing was recorded"):
        record(DEBIASED, tmp_path, None)


def test_the_training_sets(tmp_path: Path) -> None:
    turns = [{"value": "<image>\nHow far?"}, {"value": "2.5"}]
    published.jsonl(tmp_path / "a/vsi_590k.jsonl", [{"conversations": turns, "video": "x/b.mp4"}])
    source = DATASETS["vsi-590k"]
    (problem,) = verify(source, tmp_path / "a").problems
    assert "1 of 1 media are missing: x/b.mp4" in problem
    write_video(tmp_path / "a/x/b.mp4", published.FOUR)
    assert verify(source, tmp_path / "a").problems == []
    row = {"id": "3", "conversations": turns, "data_source": "scannetpp", "scene_name": "s"}
    (tmp_path / "b").mkdir()
    (tmp_path / "b/vlm3r_vsi_205k.json").write_text(json.dumps([row]))
    vlm = DATASETS["vlm-3r"]
    verdict = verify(vlm, tmp_path / "b")
    assert verdict.problems == [] and any("--media" in note for note in verdict.notes)
    write_video(tmp_path / "a/scannetppv2/s.mp4", published.FOUR)
    assert not any("--media" in n for n in verify(vlm, tmp_path / "b", media=tmp_path / "a").notes)


def command(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "geovr", *arguments], cwd=root, env=environment(root),
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def test_the_command_verifies_records_and_tells_in_json(tmp_path: Path) -> None:
    root = published.vsi(tmp_path / "vsi")
    unnamed = command(tmp_path, "benchmark", "verify", "vsi")
    assert unnamed.returncode == 2 and "add --name, one of vsi-bench" in unnamed.stderr
    first = command(
        tmp_path, "benchmark", "verify", "vsi", "--name", DEBIASED.name, "--record", "--json"
    )
    assert first.returncode == 0, first.stderr
    assert json.loads(first.stdout)["questions"] == 2
    lock = read_lock(root)
    assert lock is not None and lock.revision is None
    (root / "scannet/scene0011_00.mp4").unlink()
    second = command(tmp_path, "benchmark", "verify", "vsi")
    assert second.returncode == 2 and "media are missing" in second.stderr
    listed = json.loads(command(tmp_path, "benchmark", "list", "--json").stdout)["benchmarks"]
    assert {row["name"] for row in listed} == set(BENCHMARKS)
    assert all(row["protocols"] and row["licence"] for row in listed)
