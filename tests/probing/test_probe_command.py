"""`geovr probe` on a flown workspace: what is read, what is written, what is refused."""

from __future__ import annotations

import html.parser
import json
import math
from pathlib import Path

import pytest
import torch

from geovr.artifacts import ClipSet
from geovr.data.clips import read_clip
from geovr.data.input import InputConfig
from geovr.errors import UserError
from geovr.model.forward import load_backbone
from geovr.probing.config import named
from geovr.probing.states import Reader
from geovr.storage import Store
from tests.stock import video
from tests.workspace import Workspace

TRUTH = ("--ground-truth", "data/rooms/ground_truth")
STOCK = ".geovr/models/study"


def test_layers_are_what_stock_transformers_gives(flown: Workspace) -> None:
    """The reader's states against those of an untouched model and processor, two clips packed."""
    from transformers import AutoModelForImageTextToText

    clips = ClipSet.load(flown.root / "artifacts/clips")
    rows = list(clips.index[clips.index["split"] == "test"].itertuples(index=False))[:2]
    backbone, processor = load_backbone(flown.root / STOCK)
    reader = Reader(
        backbone, processor, clips, rows, Store.open(str(flown.root / TRUTH[1])),
        shown=InputConfig(max_tokens=None), batch_rows=2, name="study",
    )  # fmt: skip
    found = list(reader(range(reader.norm + 1)))
    stock = AutoModelForImageTextToText.from_pretrained(flown.root / STOCK).eval()
    for row, states in zip(rows, found, strict=True):
        clip = read_clip(clips.store, row)
        places, times = clip.frame_indices_T, clip.timestamps_T
        item = {"fps": float(places[-1] / times[-1]), "places": places.tolist()}
        shown = [{"role": "user", "content": [{"type": "video"}, {"type": "text", "text": "Far?"}]}]
        text = processor.apply_chat_template(shown, tokenize=False, add_generation_prompt=True)
        inputs = processor(
            text=[text], return_tensors="pt", **video(processor, clip.frames_THWC, item)
        )
        taken: list[torch.Tensor] = []
        hook = stock.model.language_model.layers[1].register_forward_pre_hook(
            lambda _, args, kwargs, taken=taken: taken.append(args[0]), with_kwargs=True
        )
        with torch.no_grad():
            said = stock(**inputs, output_hidden_states=True).hidden_states
        hook.remove()
        visual = inputs["input_ids"][0] == processor.tokenizer.convert_tokens_to_ids(
            "<|video_pad|>"
        )
        # entry 1 lacks DeepStack's addition, which the second layer takes in; the last is normed
        wanted = {0: said[0], 1: taken[0], reader.norm: said[-1]}
        wanted |= {layer: said[layer] for layer in range(2, reader.norm - 1)}
        for layer, state in wanted.items():
            mine = states.layers[layer].flatten(0, 1)
            torch.testing.assert_close(mine, state[0][visual], rtol=1e-4, atol=2e-5)
        assert not torch.allclose(said[1], taken[0], atol=1e-3)
        last = states.layers[reader.norm - 1]
        normed = stock.model.language_model.norm(last)
        torch.testing.assert_close(normed, states.layers[reader.norm], rtol=1e-4, atol=2e-5)
        assert states.targets.log_depth_TN.shape == last.shape[:2]


class Balanced(html.parser.HTMLParser):
    """Opens and closes tags, and collects texts."""

    VOID = ("meta", "br", "img")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.names: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_command_from_end_to_end(flown: Workspace, tmp_path: Path) -> None:
    def run(output: Path, *more: str) -> str:
        return flown.inline(
            "probe", f"stock={STOCK}", "taught=artifacts/checkpoint", *TRUTH, "--folds", "4",
            "--output", str(output), *more,
        )  # fmt: skip

    told = run(tmp_path / "probe")
    assert "4 clips of 4 scenes, split test" in told and "taught - stock" in told
    found = json.loads((tmp_path / "probe/probe.json").read_text())
    stock, taught = found["models"]
    depth = stock["num_layers"]
    assert [one["name"] for one in taught["layers"]] == [*map(str, range(depth + 1)), "final norm"]
    clips = ClipSet.load(flown.root / "artifacts/clips")
    frames = clips.index[clips.index["split"] == "test"]["num_frames"].sum()
    assert stock["items"]["translation"] == stock["items"]["rotation"] == frames - 4
    assert stock["items"]["scale"] == 4 and stock["items"]["depth"] % frames == 0
    for model in (stock, taught):
        for name, reading in model["constant"].items():
            assert reading["r2"]["value"] <= 0 < reading["error"], name
        for layer in model["layers"]:
            assert set(layer["targets"]) == {"depth", "translation", "rotation", "scale"}
            for reading in layer["targets"].values():
                assert reading["r2"]["value"] < 1 and len(reading["penalties"]) == 4
    first, other = (one["layers"][2]["targets"]["depth"] for one in (stock, taught))
    assert first["more"] is None
    more = other["r2"]["value"] - first["r2"]["value"]
    assert other["more"]["value"] == pytest.approx(more) and more != 0
    table = (tmp_path / "probe/table.md").read_text()
    assert f"{first['r2']['value']:.3f}" in table and "| final norm |" in table
    page = (tmp_path / "probe/probe.html").read_text()
    reader = Balanced()
    reader.feed(page)
    assert not reader.open and reader.names.count("figure") == 4 and "http" not in page
    # the same again, one line of JSON with everything
    again = json.loads(run(tmp_path / "again", "--json"))
    assert again["status"] == "done" and again["models"] == found["models"]
    assert (tmp_path / "again/probe.html").read_text() == page


def test_few_layers_and_clips(flown: Workspace, tmp_path: Path) -> None:
    told = json.loads(
        flown.inline(
            "probe", STOCK, *TRUTH, "--folds", "3", "--split", "train", "--layers", "2,0",
            "--most-clips", "6", "--output", str(tmp_path / "probe"), "--json",
        )
    )  # fmt: skip
    (model,) = told["models"]
    assert model["name"] == "study" and told["clips"] == told["scenes"] == 6
    assert [one["layer"] for one in model["layers"]] == [0, 2]
    assert all(
        math.isfinite(r["r2"]["value"]) for one in model["layers"] for r in one["targets"].values()
    )


def test_layers_that_do_not_fit_together_are_read_in_turn(
    flown: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One layer at a time and no state kept gives the same numbers."""
    from geovr.probing import probe

    def run(name: str) -> list[dict[str, object]]:
        told = flown.inline(
            "probe", STOCK, *TRUTH, "--folds", "3", "--layers", "0,1,2",
            "--output", str(tmp_path / name), "--json",
        )  # fmt: skip
        models: list[dict[str, object]] = json.loads(told)["models"]
        return models

    together = run("together")
    monkeypatch.setattr(probe, "MOST_BYTES", 1)
    assert run("apart") == together


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((STOCK, *TRUTH), "--folds 5: there are 4 scenes, and a fold needs one; give --folds 4"),
        ((STOCK, *TRUTH, "--folds", "2"), "folds: Input should be greater than or equal to 3"),
        ((STOCK, *TRUTH, "--split", "dev"), "--split dev: no clip belongs to it; there are test"),
        ((STOCK, "--ground-truth", "nowhere"), "--ground-truth nowhere: no such directory"),
        ((STOCK, "--ground-truth", "data"), "knows none of the 4 clips of test, such as test-0000"),
        ((STOCK, STOCK, *TRUTH), "two models are called study; name each, as NAME=PATH"),
        ((STOCK, "x=nowhere", *TRUTH, "--folds", "4"), "x=nowhere: no such directory"),
        (("x=data", *TRUTH), "x=data: neither a checkpoint (manifest.json) nor a model"),
        ((STOCK, *TRUTH, "--layers", "0,last"), "--layers 0,last: write whole numbers"),
        ((STOCK, *TRUTH, "--folds", "4", "--layers", "9"), "--layers: study has layers 0 to"),
    ],
)  # fmt: skip
def test_faults_are_told_with_their_remedy(
    flown: Workspace, arguments: tuple[str, ...], said: str
) -> None:
    assert said in flown.inline("probe", *arguments, "--output", "unwritten", code=2)
    assert not (flown.root / "unwritten").exists()


def test_ground_truth_of_other_videos_is_refused(flown: Workspace, tmp_path: Path) -> None:
    """Scenes of two simulated sets have the same names."""
    for path in sorted((flown.root / TRUTH[1]).glob("train-*.safetensors"))[:4]:
        copy = tmp_path / path.name.replace("train", "test")
        copy.write_bytes(path.read_bytes())
    told = flown.inline(
        "probe", STOCK, "--ground-truth", str(tmp_path), "--folds", "3", code=2
    )  # fmt: skip
    assert "was rendered with other video bytes" in told and "point --ground-truth at" in told


def test_models_are_called_by_name_or_last_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for directory in ("runs/a/checkpoint", "runs/b=c/d"):
        Path(directory).mkdir(parents=True)
        (Path(directory) / "manifest.json").touch()
    given = {
        "all four=runs/a/checkpoint": ("all four", "runs/a/checkpoint"),
        "runs/b=c/d/": ("d", "runs/b=c/d/"),
        "s3://bucket/kept/best": ("best", "s3://bucket/kept/best"),
        "champion=models:/geovr@champion": ("champion", "models:/geovr@champion"),
    }
    # what is not on this machine is looked for when its turn comes
    assert [(one.name, one.reference) for one in named(list(given))] == list(given.values())
    for wrong in ("=runs/a", "a=", "<b>=runs/a/checkpoint"):
        with pytest.raises(UserError, match="write it as NAME=PATH"):
            named([wrong])
