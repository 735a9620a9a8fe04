"""Small ClipSets of rendered rooms with planted copies."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd

from geovr import records
from geovr.artifacts import ClipSet
from geovr.data.clips import DERIVED_COLUMNS
from geovr.simulation.simulate import SimulateConfig, simulate
from geovr.stages.ingest import IngestConfig, ingest
from geovr.storage import write_atomic


def rooms(folder: Path, count: int = 8) -> list[Path]:
    """Videos of rooms, of ten seconds each."""
    config = SimulateConfig(
        output=folder, train_scenes=count, test_scenes=0, size="128x96", frames=20, processes=1
    )
    simulate(config)
    return sorted(folder.glob("videos/**/*.mp4"))


def clip_set(root: Path, videos: Path, splits: dict[str, list[str]]) -> ClipSet:
    """ingest of a folder, with a question about each video of each split, and its record."""
    sources = []
    for split, names in splits.items():
        rows = [
            {"id": f"{split}:{name}", "video": name, "question_type": "size",
             "conversations": [{"from": "human", "value": "How long?"},
                               {"from": "gpt", "value": "2"}]}
            for name in names
        ]  # fmt: skip
        path = root / f"{split}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        sources.append({"path": str(path), "split": split})
    values: dict[str, Any] = {
        "store": str(root.parent / "store"), "videos": str(videos), "questions": sources,
        "workers": 1,
    }  # fmt: skip
    config = IngestConfig.model_validate(values)
    output = root / "clips"
    records.recorded("ingest", config.store, output, lambda: ingest(config, output=output))
    return ClipSet.load(output)


def of_an_earlier_version(clips: ClipSet, directory: Path) -> ClipSet:
    """The same set as ingest left it before there were fingerprints."""
    directory.mkdir()
    for name in clips.manifest.files:
        write_atomic(directory / name, (clips.directory / name).read_bytes())
    index = pd.read_parquet(directory / "index.parquet").drop(columns=list(DERIVED_COLUMNS))
    index.to_parquet(directory / "index.parquet")
    manifest = clips.manifest
    details = {k: v for k, v in manifest.details.items() if k != "fingerprint"}
    return ClipSet.commit(
        directory, inputs={}, config=manifest.config, counts=manifest.counts,
        store=manifest.store, content="older", details=details,
    )  # fmt: skip
