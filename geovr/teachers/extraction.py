"""Targets in the store: which stand there, and asking a teacher for those that don't.

Objects lie under targets/<teacher key>/, named by what they were made from, so two jobs on one
store make the same ones, and a killed job has kept all that it finished.
"""

from __future__ import annotations

import hashlib
import logging
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

from geovr.config import digest
from geovr.data.clips import Clip, read_clip
from geovr.data.objects import BrokenObject, unseal
from geovr.data.target_format import TargetFormat
from geovr.data.targets import CODE_VERSION, GeometryTargets, encode
from geovr.errors import GateRefused, Interrupted, LostObject, UserError
from geovr.progress import Progress
from geovr.storage import Store, sha256_bytes
from geovr.teachers.base import Teacher, TeacherError

log = logging.getLogger("geovr")

THREADS = 4
"""Objects read or written at once; hashing and waiting for a disk or S3 leave the core free."""
MOST_WAITING = 4
"""Targets that may wait to be written while the teacher goes on."""

Check = Literal["digest", "size"]


@dataclass(frozen=True)
class Found:
    """What the store has for one clip."""

    key: str
    index_row: dict[str, Any] | None
    """None when there is no whole object."""
    broken: bool = False


@dataclass(frozen=True)
class Made:
    """The index row of a clip's targets, and whether they stood in the store already."""

    index_row: dict[str, Any]
    reused: bool


class Extraction:
    """One teacher's targets, in one format, in one store.

    Args:
        teacher: who is asked.
        format: of the objects.
        clip_store: where the clips' objects are.
        store: where the targets' objects are.
        known: object key -> row of an index that was complete once; spares reading into objects.
        check: how a known object is checked: read and compared with the index, or by its size.
    """

    def __init__(
        self,
        teacher: Teacher,
        format: TargetFormat,
        clip_store: Store,
        store: Store,
        known: dict[str, dict[str, Any]],
        check: Check,
    ) -> None:
        self.teacher, self.format, self.store = teacher, format, store
        self._clip_store, self._known, self._check = clip_store, known, check
        weights = teacher.card.weights_digest
        self.teacher_key = digest(
            {
                "key": teacher.key(),
                "weights": weights,
                "code": CODE_VERSION,
                "format": format.model_dump(),
            }
        )[:16]

    def find(self, rows: Sequence[Any], bar: Progress) -> list[Found]:
        """What the store has for the clips of some rows of a ClipSet's index, in their order."""
        found = []
        with ThreadPoolExecutor(THREADS) as pool:
            for one in pool.map(self._find, rows):
                found.append(one)
                bar.advance()
        return found

    def make(self, rows: Sequence[Any], found: Sequence[Found], bar: Progress) -> list[Made]:
        """Ask the teacher about clips of which the store has no whole object, in any order.

        Reading ahead and writing behind go on while the teacher is busy.

        Raises:
            UserError, TeacherError: naming the clip; what was finished before is kept.
        """
        if not rows:
            return []
        self.teacher.load()
        made: list[Made] = []
        writing: deque[Future[Made]] = deque()
        with ThreadPoolExecutor(THREADS) as pool:
            for batch in self._ready(pool, list(zip(rows, found, strict=True))):
                asked = [(row, there, clip) for row, there, clip in batch if clip is not None]
                # another job may have made some since
                late = [Made(there.index_row, reused=True) for _, there, _ in batch
                        if there.index_row is not None]  # fmt: skip
                made += late
                bar.advance(len(late))
                said = ask(self.teacher, [clip for _, _, clip in asked]) if asked else []
                for (row, there, _), targets in zip(asked, said, strict=True):
                    writing.append(pool.submit(self._keep, row, there, targets))
                while len(writing) > MOST_WAITING:
                    made.append(writing.popleft().result())
                    bar.advance()
            for future in writing:
                made.append(future.result())
                bar.advance()
        return made

    def _object_key(self, row: Any) -> str:
        # the clip's object holds the sampler too: the same video sampled otherwise has others
        made_from = f"{row.object_sha256} {self.teacher.clip_inputs_digest(row)}"
        name = hashlib.sha256(made_from.encode()).hexdigest()
        return f"targets/{self.teacher_key}/{name[:2]}/{name}.safetensors"

    def _find(self, row: Any) -> Found:
        key = self._object_key(row)
        known = self._known.get(key)
        if known is not None and self._check == "size":
            size = self.store.size(key)
            if size == known["object_bytes"]:
                return Found(key, _renamed(known, row))
        try:
            data = self.store.get(key)
        except LostObject:  # a store that fails is no reason to ask the teacher again
            return Found(key, None)
        if known is not None and sha256_bytes(data) == known["object_sha256"]:
            return Found(key, _renamed(known, row))
        try:
            return Found(key, _index_row(row, key, data))
        except (BrokenObject, KeyError) as error:
            log.warning("%s: %s; making it again", self.store.uri_of(key), error)
            return Found(key, None, broken=True)

    def _ready(
        self, pool: ThreadPoolExecutor, items: list[tuple[Any, Found]]
    ) -> Iterator[list[tuple[Any, Found, Clip | None]]]:
        """Batches of clips of one shape, the next one being read while one is used."""

        def read(row: Any, there: Found) -> tuple[Any, Found, Clip | None]:
            if not there.broken and self.store.exists(there.key):
                there = self._find(row)
            whole = there.index_row is not None
            return row, there, None if whole else read_clip(self._clip_store, row)

        ahead: deque[list[Future[tuple[Any, Found, Clip | None]]]] = deque()
        for batch in same_shape_batches(items, self.teacher.clips_per_call):
            ahead.append([pool.submit(read, *item) for item in batch])
            if len(ahead) > 1:
                yield [future.result() for future in ahead.popleft()]
        for futures in ahead:
            yield [future.result() for future in futures]

    def _keep(self, row: Any, there: Found, targets: GeometryTargets) -> Made:
        try:
            data = encode(targets, self.format)
        except ValueError as error:
            name = self.teacher.card.name
            raise TeacherError(f"{row.clip_id}: what teacher {name} says: {error}") from error
        if there.broken:
            self.store.put(there.key, data)
        else:
            # a GPU's last bit may differ from job to job: all use what was written first
            data = self.store.put_new(there.key, data)
        return Made(_index_row(row, there.key, data), reused=False)


def ask(teacher: Teacher, clips: list[Clip]) -> list[GeometryTargets]:
    """Targets of some clips; when they fail together, each is asked about alone.

    Raises:
        UserError, TeacherError: naming the clip that fails alone.
    """
    try:
        said = teacher(clips)
    except (Interrupted, GateRefused):
        raise
    except Exception as error:
        if len(clips) > 1:
            log.warning("%d clips at once: %s; asking one by one", len(clips), error)
            return [ask(teacher, [clip])[0] for clip in clips]
        name = clips[0].clip_id
        if isinstance(error, UserError):
            raise (error if name in str(error) else UserError(f"{name}: {error}")) from error
        reason = f"{type(error).__name__}: {error}"
        raise TeacherError(f"{name}: teacher {teacher.card.name} failed: {reason}") from error
    if len(said) != len(clips):
        names = ", ".join(clip.clip_id for clip in clips)
        raise TeacherError(f"{names}: teacher {teacher.card.name} gave {len(said)} answers")
    return said


def same_shape_batches(
    items: Sequence[tuple[Any, Found]], most: int
) -> list[list[tuple[Any, Found]]]:
    """Batches of up to `most` clips with equal numbers of frames and equal size, in order."""
    groups: dict[tuple[int, ...], list[tuple[Any, Found]]] = {}
    for row, there in items:
        groups.setdefault((row.num_frames, row.height, row.width), []).append((row, there))
    return [
        group[start : start + most]
        for group in groups.values()
        for start in range(0, len(group), most)
    ]


def cost(row: Any) -> int:
    """What a clip costs a teacher, in pixels: measured against each other, clips differ by this."""
    return int(row.num_frames) * int(row.height) * int(row.width)


def _index_row(row: Any, key: str, data: bytes) -> dict[str, Any]:
    valid = unseal(data)["metric_scale_valid"]
    return {
        "clip_id": row.clip_id,
        "video_sha256": row.video_sha256,
        "object_key": key,
        "object_bytes": len(data),
        "object_sha256": sha256_bytes(data),
        "scale_valid": bool(valid[0]),
    }


def _renamed(known: dict[str, Any], row: Any) -> dict[str, Any]:
    """An object's row for the clip that needs it now: equal clips share one object."""
    return known | {"clip_id": row.clip_id, "video_sha256": row.video_sha256}
