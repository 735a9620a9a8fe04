"""The 55 faults that the workflow must survive, and what it promises for each.

A test proves a fault's promise, or a part of it, by carrying its number: `@pytest.mark.fault(7)`.
A test of the catalogue holds every fault to having one.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong.

    Attributes:
        number: 1 to 55.
        group: what it happens to.
        fault: what goes wrong.
        promise: what happens then.
    """

    number: int
    group: str
    fault: str
    promise: str


_GROUPS: dict[str, list[tuple[str, str]]] = {
    "video": [
        ("a video file of no bytes", "put aside by name"),
        ("cut off at any place", "put aside by name; never a clip with fewer frames"),
        ("index at the end, or missing", "read; put aside by name"),
        ("random bytes changed", "no crash, no hang, the same verdict each time"),
        ("text, HTML or an archive named .mp4", "put aside as no video"),
        ("a playlist named .mp4", "refused; no file or address in it is opened"),
        ("huge frames in a small file", "refused before memory is taken"),
        ("absurd lengths, rates and frame counts", "a defined clip, or put aside by name"),
        ("a frame rate that varies", "frames are chosen by time, half a frame off at most"),
        ("a rotation in the header", "frames stand upright, as FFmpeg turns them"),
        ("other streams: none, sound, two, a cover", "the first real video; sound alone is named"),
        ("deep colours, full range, odd sizes, alpha", "the right RGB within tolerance"),
        ("damage inside a group of pictures", "put aside, with the number of damaged frames"),
        ("the decoder crashes", "that file is put aside, the others are decoded"),
        ("the decoder hangs", "it is stopped and that file put aside"),
        ("links, blanks, emoji, dots, long file names", "each is used or named, and none leaves"),
        ("one content, two names; one name, new content", "decoded once; decoded again"),
        ("a file changes while it is read", "noticed by its digest and put aside"),
    ],
    "annotations": [
        ("broken, doubled or incomplete questions", "all of them put aside by file and line"),
        ("a tenth of the data is bad", "a gate refuses before training and keeps its report"),
        ("scenes shared by training and test", "a gate refuses and names them"),
    ],
    "storage": [
        ("killed at any write", "never a mixture of old and new; a rerun completes"),
        ("disk full, failing or read-only", "an error names the file; earlier data stay"),
        ("one bit flipped in any file", "found by name before use; only that object is rebuilt"),
        ("S3 fails, stalls or sends too little", "bounded retries, then an error with the key"),
        ("two writers of one key", "the first wins and both go on with its bytes"),
        ("an upload in parts that was given up", "invisible, and removed"),
        ("an index names what is not there", "named, never skipped"),
        ("objects of another teacher, code or format", "made again, never mixed"),
        ("clocks and file times that are wrong", "no effect"),
    ],
    "training": [
        ("SIGKILL at any step or save", "resumed to the same bits as if it had not happened"),
        ("SIGTERM", "a checkpoint, then the exit code that asks for another try"),
        ("the newest checkpoint is damaged", "named; the one before is taken and never deleted"),
        ("disk full during a save", "the older checkpoint stays, the error says so"),
        ("resumed on another number of processes", "same questions, losses within tolerance"),
        ("a rank dies or hangs", "all stop within a time limit, and start again"),
        ("a loss or gradient that is no number", "stops, or skips and counts, naming the batch"),
        ("resumed with another config or model", "refused with what differs"),
        ("a clip whose scale is undefined", "its scale loss is masked and counted"),
        ("images only, one frame, too long a sample", "defined; never cut inside a video"),
    ],
    "evaluation": [
        ("a worker dies", "its questions are asked again; every one has an answer"),
        ("killed half-way", "answers that stand are kept; the same bytes in the end"),
        ("answers that make no sense", "score 0 and are counted as unreadable"),
        ("two answers to one question", "refused by id"),
    ],
    "pipeline": [
        ("MLflow is away, slow or failing", "training goes on; each point arrives once"),
        ("a finished step is tried again", "nothing is done again; the same digests"),
        ("a run or its artifact is deleted", "made again, not taken from a stale cache"),
        ("parameters with shell or YAML tricks", "refused or taken literally; no shell reads them"),
    ],
    "security": [
        ("code hidden in a pickle", "never run"),
        ("a safetensors header that lies", "refused without taking the memory it claims"),
        ("archives that escape or explode", "refused whole; nothing is written to a disk"),
        ("a secret in the environment", "in no log, manifest, tracked run or error"),
        ("a manifest for the cluster that asks too much", "policy tests refuse it"),
        ("any user id, no writable root, no network", "the container works"),
        ("an image or weights that were exchanged", "refused by name"),
    ],
}  # fmt: skip


def _catalogue() -> tuple[Fault, ...]:
    named = [(group, *row) for group, rows in _GROUPS.items() for row in rows]
    return tuple(
        Fault(number, group, fault, promise)
        for number, (group, fault, promise) in enumerate(named, start=1)
    )


FAULTS = _catalogue()
BY_NUMBER = {fault.number: fault for fault in FAULTS}
