"""Answers one by one and behind a shared prefix, side by side: `python -m tests.bench.evaluation`.

One by one: plain transformers; every question decodes its video, goes through the processor, and
`generate` with its own cache. Ours: a video is decoded, encoded and prefilled once, and its
questions branch from there. Same tiny model, same videos, greedy; in float32 the answers are
asserted to be the same token for token, in bfloat16 the share that differs is printed.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from geovr.artifacts import ClipSet
from geovr.data.input import InputConfig
from geovr.data.prompts import prompt_text
from geovr.data.sampling import SamplerConfig
from geovr.data.video import LimitsConfig, decode_video
from geovr.evaluation.answer import MAX_NEW_TOKENS, Answerer, Model
from geovr.model.architectures import empty_model, published_config
from geovr.model.flops import SampleShape, answer_flops
from geovr.model.initialise import init_model
from geovr.simulation.simulate import SimulateConfig, simulate
from geovr.stages.ingest import IngestConfig, ingest

VIDEOS, FRAMES, SIZE, QUESTIONS = 2, 32, "128x96", 18
KINDS = (
    ("What is the size of this room (in square metres)?", None, "12.5"),
    ("Which way does the camera turn?", ["A. left", "B. right"], "B"),
    ("How far is it from the table to the door (in metres)?", None, "2.31"),
)
SHAPE = SampleShape(
    slots=64, grid=(15, 20), prefix=64 * 311, branch=120, labels=2,
    depth_size=(1, 1), feature_grid=(1, 1), feature_dim=1,
)  # fmt: skip
"""128 frames of 640x480, two a slot as stock Qwen3-VL pairs them."""


class Bench:
    """Rendered videos, a model of random weights, and questions."""

    def __init__(self, scratch: Path, dtype: torch.dtype) -> None:
        from transformers import AutoModelForImageTextToText, AutoProcessor

        self.model, self.dtype = scratch / "tiny", dtype
        if not self.model.exists():
            init_model("tiny", self.model, seed=0)
            simulate(
                SimulateConfig(
                    output=scratch / "rooms", train_scenes=1, test_scenes=VIDEOS, size=SIZE,
                    frames=FRAMES, processes=1,
                )
            )  # fmt: skip
            ingest(_ingest(scratch), output=scratch / "clips")
        self.clips = ClipSet.load(scratch / "clips")
        index = self.clips.index
        self.shown = list(index[index["split"] == "test"]["clip_id"])
        self.videos = {
            row.clip_id: scratch / "rooms/videos" / f"{row.clip_id}.mp4"
            for row in index.itertuples(index=False)
        }
        rows = [
            (f"{clip}/{n}", clip, "test", "kind", f"{KINDS[n % 3][0]} ({n})", *KINDS[n % 3][1:])
            for clip in self.shown
            for n in range(QUESTIONS)
        ]
        columns = ["id", "clip_id", "split", "kind", "question", "options", "answer"]
        self.questions = pd.DataFrame(rows, columns=columns)
        self.stock = AutoModelForImageTextToText.from_pretrained(
            self.model, local_files_only=True, dtype=dtype
        ).eval()
        self.processor = AutoProcessor.from_pretrained(self.model, local_files_only=True)

    def decode(self, clip_id: str) -> Any:
        """The sampled frames of a clip's video."""
        return decode_video(self.videos[clip_id], SAMPLER, LimitsConfig())

    @torch.inference_mode()
    def one_by_one(self) -> list[str]:
        """Every question on its own."""
        said = []
        for asked in self.questions.itertuples(index=False):
            decoded = self.decode(asked.clip_id)
            inputs = self._inputs(decoded, prompt_text(asked.question, asked.options))
            ids = self.stock.generate(**inputs, do_sample=False, max_new_tokens=MAX_NEW_TOKENS)
            new = ids[0, inputs["input_ids"].shape[1] :]
            said.append(self.processor.tokenizer.decode(new, skip_special_tokens=True).strip())
        return said

    def _inputs(self, decoded: Any, prompt: str) -> Any:
        """What the stock processor makes of a video, two frames a slot."""
        (gap,) = {round(float(s), 6) for s in np.diff(decoded.timestamps_T)}
        content = [{"type": "video"}, {"type": "text", "text": prompt}]
        text = self.processor.apply_chat_template(
            [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
        )
        frames = list(range(len(decoded.frames_THWC)))
        return self.processor(
            text=[text],
            videos=[decoded.frames_THWC],
            video_metadata=[
                {"fps": 1 / gap, "total_num_frames": len(frames), "frames_indices": frames}
            ],
            videos_kwargs={"do_sample_frames": False},
            return_tensors="pt",
        ).to(self.dtype)

    def shared(self, answerer: Answerer) -> list[str]:
        """The questions of each video behind one prefix."""
        said = []
        for clip in self.shown:
            self.decode(clip)
            places = np.flatnonzero(self.questions["clip_id"] == clip).tolist()
            said += [answer.text for answer in answerer.answer([clip], [places])]
        return said

    def answerer(self) -> Answerer:
        """A new one, that has read nothing yet."""
        shown = InputConfig(max_tokens=None, frame_pairing="pairs")
        model = Model(self.model)
        model.backbone = model.backbone.to(self.dtype)
        return Answerer(model, self.clips, self.questions, numeric="greedy", shown=shown)


SAMPLER = SamplerConfig(fps=1000.0, max_frames=FRAMES)


def _ingest(scratch: Path) -> IngestConfig:
    rooms = scratch / "rooms"
    questions = [
        {"path": str(rooms / f"{split}_questions.jsonl"), "split": split}
        for split in ("train", "test")
    ]
    return IngestConfig.model_validate(
        {
            "store": str(scratch / "store"),
            "videos": str(rooms / "videos"),
            "questions": questions,
            "sampler": SAMPLER.model_dump(),
        }
    )


def timed(bench: Bench, rounds: int) -> list[tuple[float, float]]:
    """Questions a second of both, in turns; equal answers are asserted in every round."""
    found = []
    for number in range(rounds + 1):
        began = time.perf_counter()
        slow = bench.one_by_one()
        between = time.perf_counter()
        answerer = bench.answerer()
        again = time.perf_counter()
        fast = bench.shared(answerer)
        ended = time.perf_counter()
        if slow != fast:
            pairs = [pair for pair in zip(slow, fast, strict=True) if pair[0] != pair[1]]
            raise AssertionError(f"{len(pairs)} of {len(slow)} answers differ: {pairs[:3]}")
        if number:  # the first round warms up
            count = len(bench.questions)
            found.append((count / (between - began), count / (ended - again)))
    return found


def main() -> None:
    """Print the ratios; exit with 1 when a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="measured rounds")
    parser.add_argument("--sizes", nargs="*", default=["2B", "4B", "8B"], help="for the FLOP table")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        rates = timed(Bench(Path(scratch), torch.float32), options.rounds)
        half = Bench(Path(scratch), torch.bfloat16)
        pairs = list(zip(half.one_by_one(), half.shared(half.answerer()), strict=True))
    ratios = [fast / slow for slow, fast in rates]
    differ = sum(a != b for a, b in pairs) / len(pairs)
    flops = {}
    for size in options.sizes:
        model = empty_model(published_config(size))
        alone, together = (answer_flops(model, SHAPE, k) for k in (1, QUESTIONS))
        flops[size] = {"one by one": alone, "shared": together / QUESTIONS}
    told = {
        "questions_per_video": QUESTIONS,
        "frames": FRAMES,
        "one_by_one_per_s": statistics.median(slow for slow, _ in rates),
        "shared_per_s": statistics.median(fast for _, fast in rates),
        "ratio": statistics.median(ratios),
        "least": min(ratios),
        "most": max(ratios),
        "bf16_share_that_differs": differ,
        "flops_per_question": flops,
    }
    print(json.dumps(told) if options.json else _lines(told))
    if told["ratio"] < 5:
        raise SystemExit(f"goal missed: {told['ratio']:.2f} times as many questions; want 5")


def _lines(told: dict[str, Any]) -> str:
    rates = (told["one_by_one_per_s"], told["shared_per_s"])
    spread = f"[{told['least']:.1f}, {told['most']:.1f}]"
    lines = [
        f"{told['frames']} frames of {SIZE}, {QUESTIONS} questions a video, one thread",
        f"tiny model of random weights, {MAX_NEW_TOKENS} tokens an answer",
        "questions/s: one by one {:.2f}, shared prefix {:.2f}".format(*rates),
        f"ratio {told['ratio']:.1f} {spread}; float32 answers equal in every round",
        f"bfloat16: {100 * told['bf16_share_that_differs']:.1f} % of the answers differ",
        "TFLOP a question, 128 frames of 640x480, counted on the meta device:",
    ]
    for size, row in told["flops_per_question"].items():
        alone, shared = row["one by one"], row["shared"]
        lines.append(
            f"{size}: one by one {alone / 1e12:.1f}, shared {shared / 1e12:.1f},"
            f" {alone / shared:.1f} times less"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
