"""A benchmark through ingest and evaluate by a named protocol, and what its files then say."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from geovr.artifacts import Checkpoint, ClipSet
from geovr.config import digest
from geovr.data.sampling import SamplerConfig
from geovr.errors import UserError
from geovr.evaluation.asking import AskConfig, plan
from geovr.evaluation.comparison import said
from geovr.evaluation.predictions import read_file
from geovr.evaluation.profiles.table import profiles_of
from geovr.evaluation.protocols import FLOW, protocol_named
from tests import published
from tests.chat_server import serving, status
from tests.media import write_video
from tests.workspace import Workspace, make_workspace

OFFICIAL = protocol_named("vsi-bench/official")
SOURCE = "{name: vsi-bench, path: published}"
INGEST = (
    "ingest", "--output", "artifacts/bench", "--set", f"ingest.benchmark={SOURCE}",
    "--set", "ingest.videos=null", "--set", "ingest.questions=[]",
)  # fmt: skip
EVALUATE = (
    "evaluate", "--clips", "artifacts/bench", "--output", "artifacts/scores",
    "--set", "evaluate.protocol=vsi-bench/official", "--set", "evaluate.shuffled=false",
    "--set", "evaluate.partial=true",
)  # fmt: skip


@pytest.fixture(scope="module")
def trained(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A checkpoint, and VSI-Bench as published, small."""
    workspace = make_workspace(tmp_path_factory.mktemp("protocol") / "work", template)
    for stage in ("ingest", "extract_targets", "train"):
        workspace.inline(stage)
    root = published.vsi(workspace.root / "published")
    write_video(root / "scannet/scene0011_00.mp4", [0.1 * n for n in range(70)])
    return workspace


def predictions(workspace: Workspace) -> Path:
    details = workspace.manifest("scores")["details"]
    path: Path = workspace.root / ".geovr/store" / details["predictions_key"]
    return path


def test_from_ingest_to_a_file_that_says_all_that_decided_it(trained: Workspace) -> None:
    trained.inline(*INGEST)
    refused = trained.inline(*EVALUATE, code=2)
    assert "shows frames by {'kind': 'linspace_floor', 'num_frames': 32}" in refused
    again = "ingest.protocol=vsi-bench/official"
    assert f"--set {again}" in refused and f"--set ingest.benchmark='{SOURCE}'" in refused
    trained.inline(*INGEST, "--set", again)
    assert trained.manifest("bench")["details"]["protocol"] == "vsi-bench/official"
    told = trained.inline(*EVALUATE)
    assert "3 of 5,130 questions answered" in told

    found = read_file(predictions(trained))
    head, clips = found.header, ClipSet.load(trained.root / "artifacts/bench")
    assert head["benchmark"] == "vsi-bench" and head["revision"] is None
    assert (head["protocol"], head["protocol_digest"]) == (OFFICIAL.name, OFFICIAL.digest)
    assert head["prompts"]["number"].startswith("These are frames of a video.\n{question}\n")
    assert head["sampler"] == {"kind": "linspace_floor", "num_frames": 32, "max_side": 1024}
    assert head["generation"]["max_new_tokens"] == 16 and head["decoding"] == "greedy"
    assert head["views"] == ["video", "blank"] and head["seed"] is None
    assert head["model_digest"] == trained.manifest("checkpoint")["content_digest"]
    assert head["questions"] == 3 and head["ids_sha256"] == digest([r["id"] for r in found.rows])
    for row in clips.index.itertuples(index=False):
        of = head["clips"][row.clip_id]
        assert of["sha256"] == row.video_sha256
        assert of["frame_indices"] == list(row.frame_indices)
    long = head["clips"]["scannet/scene0011_00"]["frame_indices"]
    assert long == [69 * n // 31 for n in range(32)]

    for row, asked in zip(found.rows, clips.questions.itertuples(index=False), strict=True):
        assert row["id"] == asked.id and row["question"] == asked.question
        assert row["extra"]["dataset"] in ("scannet", "arkitscenes")
        words = OFFICIAL.render(asked)
        assert row["prompt_sha256"] == hashlib.sha256(words.encode()).hexdigest()
        assert isinstance(row["blanked_text"], str) and row["shuffled_text"] is None
    details = trained.manifest("scores")["details"]
    assert details["protocol"] == OFFICIAL.name and details["benchmark"] == "vsi-bench"
    assert details["protocol_digest"] == OFFICIAL.digest and details["revision"] is None
    assert details["coverage"] == {"answered": 3, "of": 5130}
    scores = json.loads((trained.root / "artifacts/scores/report.json").read_text())
    assert scores["published"] == 5130
    assert "vsi-bench is published without ground truth of its geometry" in told
    table = (trained.root / "artifacts/scores/table.md").read_text()
    assert table.startswith("3 of 5,130 questions answered. ")


def test_a_published_benchmark_is_asked_as_a_whole(trained: Workspace) -> None:
    official = ("--set", "ingest.protocol=vsi-bench/official")
    path = trained.root / "published/scannet/scene0011_00.mp4"
    away = path.rename(path.with_suffix(".away"))
    try:
        trained.inline(*INGEST, *official)
    finally:
        away.rename(path)
    told = trained.inline(*EVALUATE, "--set", "evaluate.partial=false", code=3)
    aside = ClipSet.load(trained.root / "artifacts/bench").quarantine
    assert "of its 5,130 questions can be asked; put aside by ingest: " in told
    assert len(aside) and all(name in told for name in aside["name"])
    trained.inline(*INGEST, *official)
    trained.inline(*EVALUATE)
    scored = trained.inline("score", "artifacts/scores", "--json")
    found = json.loads(scored[scored.index("{") : scored.rindex("}") + 1])
    assert (found["answers"], found["expected"]) == (3, 5130)
    assert "5127 questions of the benchmark could not be asked" in found["notes"]


def test_a_published_benchmark_is_scored_as_its_publisher_scores_it(trained: Workspace) -> None:
    trained.inline(*INGEST, "--set", "ingest.protocol=vsi-bench/official")
    refused = trained.inline(*EVALUATE, "--set", "evaluate.scoring=mine", code=2)
    assert "mine: vsi-bench can be scored by flow, official, lmms-eval, easi" in refused
    for name, wanted in (("auto", "official"), ("strict", "strict"), ("flow", "flow")):
        trained.inline(*EVALUATE, "--set", f"evaluate.scoring={name}")
        assert trained.manifest("scores")["details"]["scoring"] == wanted
        scores = json.loads((trained.root / "artifacts/scores/report.json").read_text())
        assert scores["scoring"] == wanted
        noted = f"Scored by the profile {wanted} of" in (scores["note"] or "")
        assert noted == (wanted != "flow")
        if wanted == "flow":
            continue
        profile = profiles_of("vsi-bench")[wanted]
        saids = [said(row) for row in read_file(predictions(trained)).rows]
        total = profile.total(saids, [profile.judge(one) for one in saids])
        if total.stops:  # three questions are too few for it
            assert f"Upstream's own code ends on these answers ({total.stops})" in scores["note"]
            continue
        assert scores["headline"]["score"]["mean"] == pytest.approx(total.overall, abs=1e-12)
        assert {line["kind"] for line in scores["kinds"]} == set(total.lines)


@pytest.mark.fault(44)
@pytest.mark.parametrize("fault", ["missing", "twice", "header"])
def test_an_answer_that_is_missing_ends_with_code_3_and_its_id(
    trained: Workspace, fault: str
) -> None:
    trained.inline(*INGEST, "--set", "ingest.protocol=vsi-bench/official")
    trained.inline(*EVALUATE)
    path = predictions(trained)
    whole = path.read_text()
    head, *rows = whole.splitlines()
    torn, wanted = {
        "missing": ([head, *rows[1:]], "2 answers to 3 questions; 1 missing: 1; 0 twice; 0 extra"),
        "twice": ([head, rows[0], *rows], "4 answers to 3 questions; 0 missing; 1 twice: 1;"),
        "header": ([head.replace(OFFICIAL.digest, "0" * 64), *rows], "protocol_digest differ"),
    }[fault]
    path.write_text("\n".join(torn) + "\n")
    try:
        told = trained.inline(*EVALUATE, code=3)
    finally:
        path.write_text(whole)
    assert wanted in told and str(path.relative_to(trained.root)) in told
    assert not (trained.root / "artifacts/scores/manifest.json").exists()
    trained.inline(*EVALUATE)


def test_the_key_hangs_on_all_that_decides_an_answer(trained: Workspace) -> None:
    trained.inline(*INGEST, "--set", "ingest.protocol=vsi-bench/official")
    clips = ClipSet.load(trained.root / "artifacts/bench")
    checkpoint = Checkpoint.load(trained.root / "artifacts/checkpoint")

    def key(**values: Any) -> str:
        return plan(AskConfig.model_validate(values), clips, checkpoint).key

    server = {"kind": "openai", "base_url": "http://a/v1", "model": "m"}
    official = {"protocol": OFFICIAL.name}
    others = [
        key(), key(**official), key(**official, blanked=False), key(**official, batch_rows=3),
        key(**official, input={"frame_pairing": "pairs"}), key(**official, backend=server),
        key(**official, numeric="expected_score"),
        key(**official, backend=server | {"model": "n"}),
        key(**official, backend=server | {"image_format": "jpeg"}),
    ]  # fmt: skip
    assert len(set(others)) == len(others)
    # what decides no answer: where the server is, and the seed of what isn't drawn
    moved = server | {"base_url": "https://b:1/v1", "concurrency": 2, "api_key_env": "OTHER"}
    assert key(**official, backend=moved) == others[5]
    assert key(**official, seed=5) == others[1] and key(protocol="flow") == others[0]
    shorter = clips.questions.assign(question=["x", *clips.questions["question"][1:]])
    clips.__dict__["questions"] = shorter
    assert key(**official) != others[1]


def test_what_the_flow_asks_by_itself_has_a_header_too(trained: Workspace) -> None:
    clips = ClipSet.load(trained.root / "artifacts/clips")
    checkpoint = Checkpoint.load(trained.root / "artifacts/checkpoint")
    asked = plan(AskConfig(), clips, checkpoint)
    assert asked.protocol is FLOW and asked.header["protocol"] == "flow"
    assert asked.header["benchmark"] is None
    assert asked.header["benchmark_digest"] == asked.benchmark_digest
    assert asked.numeric == "expected_score", "as it was trained"
    assert asked.header["sampler"]["kind"] == "fps"


def test_a_protocol_that_does_not_fit_is_refused(trained: Workspace) -> None:
    trained.inline(*INGEST, "--set", "ingest.protocol=vsi-bench/official")
    clips = ClipSet.load(trained.root / "artifacts/bench")
    checkpoint = Checkpoint.load(trained.root / "artifacts/checkpoint")
    for values, told in (
        ({"protocol": "sti-bench/official"}, "is no protocol of vsi-bench, .* vsi-bench/official"),
        ({"protocol": "vsi-bench/geovr-paper"}, "'num_frames': 128.*sample them again"),
        ({"protocol": "vsi"}, "no such protocol"),
    ):
        with pytest.raises(UserError, match=told):
            plan(AskConfig.model_validate(values), clips, checkpoint)
    # the paper's pixels come with its protocol, and what speaks against them is told
    paper = protocol_named("vsi-bench/geovr-paper")
    assert paper.sampling == SamplerConfig(kind="linspace_round", num_frames=128)
    details = {**clips.manifest.details, "sampler": paper.sampling.model_dump()}
    clips.manifest = clips.manifest.model_copy(update={"details": details})
    asked = plan(AskConfig(protocol=paper.name), clips, checkpoint)
    assert (asked.shown.min_pixels, asked.shown.max_pixels) == (paper.min_pixels, paper.max_pixels)
    assert asked.header["decoding"] == "sampled" and asked.header["seed"] == 0
    other = plan(AskConfig(protocol=paper.name, seed=1), clips, checkpoint)
    assert other.key != asked.key
    with pytest.raises(UserError, match=r"evaluate.input.max_pixels: 9, but vsi-bench/geovr-paper"):
        plan(AskConfig(protocol=paper.name, input={"max_pixels": 9}), clips, checkpoint)  # type: ignore[arg-type]


def test_a_server_in_place_of_the_model(
    trained: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same file but for who answered; a server that is away costs nothing but time."""
    trained.inline(*INGEST, "--set", "ingest.protocol=vsi-bench/official")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-not-to-be-told")
    with serving(lambda request: "4", "sk-not-to-be-told") as server:
        told = f"{{kind: openai, base_url: '{server.base_url}', model: m, max_retries: 0}}"
        command = (*EVALUATE, "--set", f"evaluate.backend={told}")
        server.faults = [status(503)] * 3
        away = trained.inline(*command, code=75)
        assert "HTTP 503" in away and "run evaluate again" in away
        server.faults.clear()
        said = trained.inline(*command)
        assert len(server.requests) == 6, "three questions, and three with the video blanked"
        trained.inline(*command)
        assert len(server.requests) == 6, "the answers are there"
    found = read_file(predictions(trained))
    assert found.header["backend"] == {"kind": "openai", "model": "m", "image_format": "png"}
    assert found.header["decoding"] == "greedy" and found.header["protocol"] == OFFICIAL.name
    assert [row["text"] for row in found.rows] == ["4"] * 3
    assert all(row["nll"] is None for row in found.rows)
    assert trained.manifest("scores")["details"]["backend"] == "openai"
    scores = json.loads((trained.root / "artifacts/scores/report.json").read_text())
    assert scores["kinds"][0]["nll"] is None
    everything = [path for path in trained.root.rglob("*") if path.is_file()]
    assert "sk-not-to-be-told" not in said + away
    assert not any(b"sk-not-to-be-told" in path.read_bytes() for path in everything)
    refused = trained.inline(*command, "--set", "evaluate.numeric=expected_score", code=2)
    assert "evaluate.numeric: expected_score needs the probabilities" in refused
