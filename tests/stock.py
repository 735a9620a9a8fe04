"""A user with plain transformers and nothing of ours: `python stock.py logits|answers DIR JOB OUT`.

JOB is a safetensors file of model inputs (logits), or a JSON list of questions with the frames of
their videos in .npy files (answers). Runs in a process of its own, without this package.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForImageTextToText, AutoProcessor


def logits(model: Any, job: Path, out: Path) -> None:
    with torch.no_grad():
        save_file({"logits": model(**load_file(job)).logits.contiguous()}, out)


def answers(model: Any, processor: Any, job: Path, out: Path) -> None:
    """Each frame is given twice, so that it fills a time slot of its own, as in training.

    An item has `frames` and `prompt`; of a video `fps` and, where frames are chosen unevenly, their
    `places`; of still images `images`; where the words come first, `question_first`.
    """
    told = []
    for item in json.loads(job.read_text()):
        loaded = np.load(item["frames"])
        images = item.get("images", False)
        shown = [{"type": "image"}] * len(loaded) if images else [{"type": "video"}]
        asked = [{"type": "text", "text": item["prompt"]}]
        content = asked + shown if item.get("question_first") else shown + asked
        text = processor.apply_chat_template(
            [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
        )
        if images:
            frames = [torch.from_numpy(frame).permute(2, 0, 1) for frame in loaded]
            inputs = processor(text=[text], images=frames, return_tensors="pt")
        else:
            inputs = processor(text=[text], return_tensors="pt", **video(processor, loaded, item))
        limit = item.get("max_new_tokens", 16)
        penalty = item.get("repetition_penalty", 1.0)
        said = model.generate(
            **inputs, do_sample=False, max_new_tokens=limit, repetition_penalty=penalty
        )
        new = said[0, inputs["input_ids"].shape[1] :]
        told.append(processor.tokenizer.decode(new, skip_special_tokens=True).strip())
    out.write_text(json.dumps(told))


def video(processor: Any, loaded: np.ndarray, item: dict[str, Any]) -> dict[str, Any]:
    """A video's frames for the processor, each twice at twice the rate."""
    size = processor.video_processor.size
    places = item.get("places", range(len(loaded)))
    told = {
        "fps": 2 * item["fps"],
        "total_num_frames": 2 * len(loaded),
        "frames_indices": [2 * place for place in places for _ in range(2)],
    }
    return {
        "videos": [np.repeat(loaded, 2, axis=0)],
        "video_metadata": [told],
        "videos_kwargs": {
            "do_sample_frames": False,
            "size": {name: 2 * int(size[name]) for name in ("shortest_edge", "longest_edge")},
        },
    }


if __name__ == "__main__":
    torch.set_num_threads(1)
    what, directory, job, out = sys.argv[1], *map(Path, sys.argv[2:5])
    model = AutoModelForImageTextToText.from_pretrained(directory, local_files_only=True).eval()
    if "geovr" in sys.modules:
        raise SystemExit("this process is meant to have nothing of ours")
    if what == "logits":
        logits(model, job, out)
    else:
        processor = AutoProcessor.from_pretrained(directory, local_files_only=True)
        answers(model, processor, job, out)
