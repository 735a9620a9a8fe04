"""The suite on clips and questions, and the columns it looks at."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any

from pydantic import Field

from geovr.config import Config
from geovr.data.numbers import is_text
from geovr.leakage.scenes import known_scene
from geovr.progress import tracked
from geovr.quality.suites import Expectation, between, clean, true

if TYPE_CHECKING:
    import pandas as pd

    from geovr.artifacts import ClipSet
    from geovr.leakage.overlap import Overlap


class ClipThresholds(Config):
    """Where the line is drawn."""

    max_quarantined_videos: float = Field(
        0.05, ge=0, le=1, description="Share of the videos that may be put aside."
    )
    max_quarantined_questions: float = Field(
        0.05, ge=0, le=1, description="Share of the questions that may be put aside."
    )
    min_side: int = Field(16, gt=0, description="Pixels of a frame's shorter side, at least.")
    max_side: int = Field(8192, gt=0, description="Pixels of a frame's longer side, at most.")
    max_letter_share: float = Field(
        0.7, gt=0, le=1, description="Share of one letter among a kind's answers (warning)."
    )


THRESHOLDS = ClipThresholds


def suite(limits: ClipThresholds) -> list[Expectation]:
    """What clips and questions must be before anything is spent on them."""
    clips, questions = "clips", "questions"
    return [
        between("whole", "clips", 1, None, "There is at least one clip."),
        clean(
            "sources",
            "fault",
            "Few videos were put aside: many mean a broken source, not broken files.",
            mostly=_mostly(limits.max_quarantined_videos),
        ),
        clean(
            "records",
            "fault",
            "Few questions were put aside.",
            mostly=_mostly(limits.max_quarantined_questions),
        ),
        Expectation(
            table=clips,
            type="expect_column_values_to_be_unique",
            kwargs={"column": "clip_id"},
            why="A clip has one name.",
        ),
        Expectation(
            table=clips,
            type="expect_column_values_to_be_in_set",
            kwargs={"column": "split", "value_set": ["train", "test", ""]},
            why="A clip is for training, for testing, or for neither.",
        ),
        between(clips, "num_frames", 1, None, "A clip shows something."),
        clean(clips, "times_fault", "Frames follow each other in time."),
        between(clips, "shorter_side", limits.min_side, None, "Frames are large enough to see."),
        between(clips, "longer_side", None, limits.max_side, "Frames have a plausible size."),
        clean(clips, "object_fault", "The clip's object is in the store, with its size."),
        clean("scenes", "leak", "No scene is trained on and tested on."),
        clean("contents", "leak", "No video's bytes are trained on and tested on."),
        clean(
            "looks",
            "leak",
            "No video is trained on and tested on in another encoding (pairs that only look alike:"
            " check_clips.likeness.allow).",
        ),
        clean("looks", "fault", "What each clip shows can be compared."),
        clean("benchmarks", "leak", "Nothing of a benchmark is trained on."),
        between("contents", "copies", None, 1, "A video comes once.", "warning"),
        true(clips, "has_questions", "A clip is asked about.", "warning"),
        Expectation(
            table=questions,
            type="expect_column_values_to_be_unique",
            kwargs={"column": "id"},
            why="A question has one id.",
        ),
        clean(questions, "join_fault", "A question's clip is there."),
        Expectation(
            table=questions,
            type="expect_column_values_to_be_in_set",
            kwargs={"column": "split", "value_set": ["train", "test"]},
            why="A question is for training or for testing.",
        ),
        clean(
            questions,
            "answer_fault",
            "The answer is one of the options, or a number; of a benchmark also a text.",
        ),
        between(
            "kinds",
            "largest_letter_share",
            0,
            limits.max_letter_share,
            "No letter is the answer nearly always.",
            "warning",
        ),
    ]


def _mostly(max_share: float) -> float:
    # 1 - 0.05 is a little less than 0.95; a share that equals the threshold passes
    return round(1 - max_share, 9)


def tables(clips: ClipSet, inside: Overlap, benchmarks: list[Overlap]) -> dict[str, pd.DataFrame]:
    """The frames that the suite looks at; `name` identifies a row.

    Args:
        clips: what is judged.
        inside: what its own training and test clips share.
        benchmarks: what its training clips share with each benchmark.
    """
    import pandas as pd

    asked = _questions(clips)
    used = _used(clips)
    return {
        "whole": pd.DataFrame([{"name": "the ClipSet", "clips": len(clips.index)}]),
        "sources": _inputs(clips, "video", clips.index["clip_id"]),
        "records": _inputs(clips, "question", clips.questions["id"]),
        "clips": _clips(clips),
        "scenes": _scenes(used),
        "contents": _contents(used),
        "looks": _looks(inside),
        "benchmarks": _benchmarks(benchmarks),
        "questions": asked,
        "kinds": _letters(asked),
    }


def _inputs(clips: ClipSet, what: str, good: pd.Series[Any]) -> pd.DataFrame:
    """All that went into ingest: what came out of it, and what was put aside with the reason."""
    import pandas as pd

    aside = clips.quarantine[clips.quarantine["what"] == what]
    kept = pd.DataFrame({"name": good.astype(str), "fault": ""})
    put_aside = pd.DataFrame({"name": aside["name"], "fault": aside["reason"]})
    return pd.concat([put_aside, kept], ignore_index=True)


def _clips(clips: ClipSet) -> pd.DataFrame:
    frame = clips.index.copy()
    frame["name"] = frame["clip_id"]
    frame["times_fault"] = [
        _times_fault(list(times), list(places), count)
        for times, places, count in zip(
            frame["timestamps"], frame["frame_indices"], frame["num_frames"], strict=True
        )
    ]
    frame["shorter_side"] = frame[["height", "width"]].min(axis=1)
    frame["longer_side"] = frame[["height", "width"]].max(axis=1)
    store = clips.store
    frame["object_fault"] = [
        _object_fault(store.uri_of(key), store.size(key), size)
        for key, size in tracked(
            zip(frame["object_key"], frame["object_bytes"], strict=True),
            "check_clips: looking in the store",
            len(frame),
            "clips",
        )
    ]
    frame["has_questions"] = frame["clip_id"].isin(clips.questions["clip_id"])
    return frame.drop(columns=["timestamps", "frame_indices"])


def _times_fault(times: list[float], places: list[int], count: int) -> str:
    if len(times) != count:
        return f"{len(times)} times for {count} frames"
    if len(places) != count:
        return f"{len(places)} places for {count} frames"
    # written so that a time that is no number is a fault too; samplers of published evaluations
    # show a frame of a short video several times
    for (before, place), (after, following) in itertools.pairwise(zip(times, places, strict=True)):
        if not (after > before or (after == before and place == following)):
            return f"{after} s after {before} s"
    return ""


def _object_fault(uri: str, found: int | None, expected: int) -> str:
    if found is None:
        return f"{uri} is missing; run ingest again"
    if found != expected:
        return f"{uri} has {found} bytes, the index says {expected}; delete it, run ingest again"
    return ""


def _used(clips: ClipSet) -> pd.DataFrame:
    """Each clip with each split it is used in: its own, and those of its questions."""
    import pandas as pd

    index = clips.index[["clip_id", "scene", "video_sha256"]]
    pairs = pd.concat([clips.index[["clip_id", "split"]], clips.questions[["clip_id", "split"]]])
    return index.merge(pairs.drop_duplicates(), on="clip_id")


def _by_split(used: pd.DataFrame, column: str) -> dict[str, dict[str, set[str]]]:
    """Value of a column -> split -> the clips that have this value and are used there."""
    found: dict[str, dict[str, set[str]]] = {}
    for value, split, clip in zip(used[column], used["split"], used["clip_id"], strict=True):
        found.setdefault(str(value), {}).setdefault(str(split), set()).add(str(clip))
    return found


def _leak(of: dict[str, set[str]]) -> str:
    """Which clips are trained on and which are tested on, when there are both."""
    if "train" not in of or "test" not in of:
        return ""
    return "; ".join(f"{split}: {' '.join(sorted(of[split])[:3])}" for split in ("train", "test"))


def _scenes(used: pd.DataFrame) -> pd.DataFrame:
    import pandas as pd

    # two scans of one room are one scene, where the names tell
    named = [
        known_scene(str(scene), str(clip)) or str(scene)
        for scene, clip in zip(used["scene"], used["clip_id"], strict=True)
    ]
    scenes = _by_split(used.assign(scene=named), "scene")
    rows = [{"name": scene, "leak": _leak(of)} for scene, of in sorted(scenes.items())]
    return pd.DataFrame(rows, columns=["name", "leak"])


def _contents(used: pd.DataFrame) -> pd.DataFrame:
    """A row per video content, named by the clips that show it."""
    import pandas as pd

    rows = []
    for _, of in sorted(_by_split(used, "video_sha256").items()):
        names = sorted(set().union(*of.values()))
        copies = max(len(clips) for clips in of.values())
        rows.append({"name": " = ".join(names[:5]), "leak": _leak(of), "copies": copies})
    return pd.DataFrame(rows, columns=["name", "leak", "copies"])


def _looks(inside: Overlap) -> pd.DataFrame:
    """A row per pair of a training and a test clip that show the same video."""
    import pandas as pd

    rows = [
        {"name": f"{one.train} = {one.test}", "leak": one.told(), "fault": ""}
        for one in inside.likenesses
    ]
    rows += [{"name": note.split(":")[0], "leak": "", "fault": note} for note in inside.notes]
    return pd.DataFrame(rows, columns=["name", "leak", "fault"])


def _benchmarks(overlaps: list[Overlap]) -> pd.DataFrame:
    """A row per scene, file and look that is also a benchmark's."""
    import pandas as pd

    rows = [
        {"name": f"{found.test}: {name}", "leak": leak}
        for found in overlaps
        for name, leak in (
            *((one.what, one.told()) for one in found.scenes),
            *((" = ".join((one.train[0], one.test[0])), one.told()) for one in found.contents),
            *((f"{one.train} = {one.test}", one.told()) for one in found.likenesses),
        )
    ]
    return pd.DataFrame(rows, columns=["name", "leak"])


def _questions(clips: ClipSet) -> pd.DataFrame:
    frame = clips.questions.copy()
    frame["name"] = frame["source"].astype(str) + " (" + frame["id"].astype(str) + ")"
    known = set(clips.index["clip_id"])
    frame["join_fault"] = ["" if c in known else f"no clip {c}" for c in frame["clip_id"]]
    letters = [
        [] if options is None else [str(option).lstrip()[:1].upper() for option in options]
        for options in frame["options"]
    ]
    frame["choice"] = [len(found) > 0 for found in letters]
    published = clips.manifest.details.get("benchmark") is not None
    frame["answer_fault"] = [
        _answer_fault(answer, found, words=published)
        for answer, found in zip(frame["answer"], letters, strict=True)
    ]
    return frame.drop(columns=["options"])


def _answer_fault(answer: object, letters: list[str], *, words: bool) -> str:
    """What is wrong with an answer; `words` are right in a published benchmark alone."""
    if letters:
        return "" if answer in letters else f"{answer!r} is not among {' '.join(letters)}"
    if words and is_text(str(answer)):
        return ""
    try:
        number = float(str(answer))
    except ValueError:
        number = math.nan
    return "" if math.isfinite(number) and number >= 0 else f"{answer!r} is no number from zero up"


def _letters(asked: pd.DataFrame) -> pd.DataFrame:
    """The most frequent letter of each kind that has enough questions to tell."""
    import pandas as pd

    rows = []
    for (split, kind), group in asked[asked["choice"].astype(bool)].groupby(["split", "kind"]):
        if len(group) >= 20:
            shares = group["answer"].value_counts(normalize=True)
            name = f"{split} {kind}: {shares.index[0]}"
            rows.append({"name": name, "largest_letter_share": float(shares.iloc[0])})
    return pd.DataFrame(rows, columns=["name", "largest_letter_share"])
