"""Records of stages: what every door leaves in the store."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from geovr import records
from geovr.artifacts import GateReport, TargetSet, start_output
from geovr.errors import GateRefused, StoreError
from geovr.storage import Store


def write(output: Path, text: str = "said", details: int = 0) -> TargetSet:
    (start_output(output) / "index.parquet").write_text(text)
    return TargetSet.commit(
        output, inputs={}, config={}, counts={"targets": 1}, store="elsewhere", content=text,
        details={"reused": details},
    )  # fmt: skip


def keep(store: Path, output: Path, text: str = "said", details: int = 0) -> TargetSet:
    made: list[TargetSet] = []
    seconds = records.recorded(
        "extract_targets", str(store), output, lambda: made.append(write(output, text, details))
    )
    assert seconds >= 0
    return made[0]


def test_runs_of_the_same_lie_side_by_side_and_the_first_made_it(tmp_path: Path) -> None:
    for reused in (0, 1):
        made = keep(tmp_path / "store", tmp_path / "out", details=reused)
    keep(tmp_path / "store", tmp_path / "other", "something else")
    store = Store.open(str(tmp_path / "store"))
    kept = records.find([store], "TargetSet", made.digest)
    assert kept is not None and len(kept.runs) == 2
    assert kept.made.manifest.details == {"reused": 0} and kept.made.began < kept.runs[1].began
    assert kept.file("index.parquet") == b"said"
    again = kept.open(TargetSet, tmp_path / "again")
    assert TargetSet.load(again.directory).digest == made.digest
    # equal files of several runs are kept once
    assert len(store.keys("records/files")) == 2


def test_a_damaged_file_is_found(tmp_path: Path) -> None:
    made = keep(tmp_path / "store", tmp_path / "out")
    (path,) = (tmp_path / "store/records/files").glob("*/*")
    path.write_text("else")
    kept = records.find([Store.open(str(tmp_path / "store"))], "TargetSet", made.digest)
    assert kept is not None
    with pytest.raises(StoreError, match="damaged"):
        kept.file("index.parquet")


def test_what_a_gate_refused_is_found_by_what_it_judged(tmp_path: Path) -> None:
    inputs = {"clips": "c" * 64}

    def refuse() -> None:
        directory = start_output(tmp_path / "out")
        (directory / "report.json").write_text("{}")
        (directory / "data_docs").mkdir()
        (directory / "data_docs/large.html").write_text("x")
        GateReport.commit(
            directory, inputs=inputs, config={}, counts={}, store="elsewhere", content="no"
        )
        raise GateRefused("no")

    with pytest.raises(GateRefused):
        records.recorded("check_clips", str(tmp_path / "store"), tmp_path / "out", refuse)
    store = Store.open(str(tmp_path / "store"))
    kept = records.find([store], "GateReport", records.judged(inputs))
    assert kept is not None and kept.made.status == "refused"
    assert kept.file("report.json") == b"{}"
    with pytest.raises(StoreError):
        kept.file("data_docs/large.html")


def test_a_failed_stage_leaves_no_record(tmp_path: Path) -> None:
    def fail() -> None:
        raise ValueError

    with pytest.raises(ValueError):
        records.recorded("train", str(tmp_path / "store"), tmp_path / "out", fail)
    assert not (tmp_path / "store").exists()


def test_a_store_that_takes_no_record_is_told_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "store").write_text("no directory")
    with caplog.at_level(logging.WARNING, logger="geovr"):
        keep(tmp_path / "store", tmp_path / "out")
    assert "the run's report will lack it" in caplog.text


def test_ranks_but_the_first_keep_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    keep(tmp_path / "store", tmp_path / "out")
    assert not (tmp_path / "store").exists()


def test_what_is_no_record_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    made = keep(tmp_path / "store", tmp_path / "out")
    store = Store.open(str(tmp_path / "store"))
    store.put(f"records/TargetSet/{made.digest}/0.json", b'{"stage": 1}')
    kept = records.find([store], "TargetSet", made.digest)
    assert kept is not None and len(kept.runs) == 1 and "not a record" in caplog.text
