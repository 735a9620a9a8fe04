"""docs/cluster.md: what needs no cluster is run, of the rest every option and file is known."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.docs.commands import ELSEWHERE, Block, blocks, faults_of
from tests.kubectl import require_kubectl
from tests.workspace import BIN, REPOSITORY

PAGE = REPOSITORY / "docs/cluster.md"
BLOCKS = blocks(PAGE)


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tracked files, with the file of images that `make images` leaves."""
    root = tmp_path_factory.mktemp("clone")
    listed = subprocess.run(
        ["git", "ls-files"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    ).stdout.split("\n")
    for name in filter(None, listed):
        if (REPOSITORY / name).is_file():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(REPOSITORY / name, root / name)
    images = {"default": "cpu", "launch.train": "gpu", "launch.evaluate": "gpu"}
    images["launch.extract_targets"] = "teacher"
    made = root / "build/images/images.json"
    made.parent.mkdir(parents=True)
    digests = {key: hashlib.sha256(name.encode()).hexdigest() for key, name in images.items()}
    made.write_text(
        json.dumps({k: f"registry.test/geovr/{images[k]}@sha256:{digests[k]}" for k in images})
    )
    return root


def test_the_page_is_read() -> None:
    assert sum(block.runs_here for block in BLOCKS) >= 5
    assert sum(not block.runs_here for block in BLOCKS) >= 5


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: f"line {block.line}")
def test_commands_options_and_files_exist(block: Block) -> None:
    for words in block.commands():
        assert not faults_of(words, REPOSITORY), f"{PAGE.name}:{block.line}: {' '.join(words)}"


def test_what_needs_no_cluster_runs(clone: Path) -> None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("KFP_", "AWS_"))}
    places = (str(BIN), str(require_kubectl().parent), os.environ["PATH"])
    environment["PATH"] = os.pathsep.join(places)
    for block in BLOCKS:
        if not block.runs_here:
            continue
        ended = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block.text],
            cwd=clone,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert ended.returncode == 0, f"{PAGE.name}:{block.line}:\n{ended.stdout}{ended.stderr}"


def test_a_block_with_a_wrong_option_or_file_is_seen() -> None:
    assert faults_of(["python", "-m", "pipelines", "compile", "--imagse", "x"], REPOSITORY)
    assert faults_of(["python", "-m", "pipelines", "compost"], REPOSITORY)
    assert faults_of(["kubectl", "apply", "-k", "infra/kubernetes/overlays/none"], REPOSITORY)
    assert faults_of(["make", "imagse"], REPOSITORY)
    assert not faults_of(["python", "-m", "pipelines", "compile"], REPOSITORY)
    assert not Block(1, f"{ELSEWHERE}a cluster\nkubectl get pods").runs_here
