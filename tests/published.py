"""Small directories of exactly the layouts in which benchmarks are published."""

from __future__ import annotations

import base64
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from tests.media import picture, write_image, write_video

FOUR = [0.5 * n for n in range(4)]
MCA = ["A. 2", "B. 7"]


def image_bytes(number: int, kind: str = "PNG") -> bytes:
    """An image file's bytes."""
    file = io.BytesIO()
    Image.fromarray(picture(number)).save(file, kind)
    return file.getvalue()


def parquet(path: Path, rows: list[dict[str, Any]]) -> Path:
    """A parquet file as `datasets` writes it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def jsonl(path: Path, rows: list[dict[str, Any]]) -> Path:
    """A file of JSON lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def zipped(path: Path, files: dict[str, bytes]) -> Path:
    """A zip file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def video_bytes(root: Path) -> bytes:
    """A small mp4."""
    path = write_video(root / ".scratch" / "v.mp4", FOUR)
    data = path.read_bytes()
    path.unlink()
    path.parent.rmdir()
    return data


def vsi_rows() -> list[dict[str, Any]]:
    """VSI-Bench's fields, as its test.jsonl of 2025 has them."""
    common = {"dataset": "scannet", "scene_name": "scene0011_00"}
    return [
        {"id": 0, **common, "question_type": "object_counting", "question": "How many chair(s)?",
         "ground_truth": "4", "options": None, "pruned": False},
        {"id": 1, "dataset": "arkitscenes", "scene_name": "41069025",
         "question_type": "object_rel_direction_easy", "question": "Left or right?",
         "ground_truth": "B", "options": ["A. left", "B. right"], "pruned": True},
        {"id": 2, **common, "question_type": "room_size_estimation", "question": "How large?",
         "ground_truth": "21.3", "options": None, "pruned": False},
    ]  # fmt: skip


def vsi(root: Path) -> Path:
    """VSI-Bench's tables and zipped videos, the latter unpacked too."""
    jsonl(root / "test.jsonl", vsi_rows())
    (root / "pruned_ids.txt").write_text("1\n")
    for name in ("scannet/scene0011_00.mp4", "arkitscenes/41069025.mp4"):
        write_video(root / name, FOUR)
    return root


def revsi(root: Path) -> Path:
    """ReVSI for 16 frames."""
    common = {"scene_id": "scene0011_00", "num_frames": "16"}
    rows = [
        {**common, "question_type": "object_counting_single", "question": "How many lamps?",
         "options": None, "ground_truth": "3"},
        {**common, "question_type": "object_rel_distance_closest", "question": "Which is closest?",
         "options": ["A. bed", "B. sofa"], "ground_truth": "A"},
    ]  # fmt: skip
    parquet(root / "16_frame/test-00000-of-00001.parquet", rows)
    write_video(root / "16_frame/scene0011_00.mp4", FOUR)
    return root


def vsti(root: Path) -> Path:
    """VSTI-Bench."""
    common = {"video_path": "scannet/videos/scene0011_00.mp4"}
    rows = [
        {"id": 7, **common, "question_type": "camera_displacement", "question": "How far?",
         "options": None, "mc_answer": None, "ground_truth": "1.4"},
        {"id": 8, **common, "question_type": "camera_movement_direction", "question": "Where to?",
         "options": ["A. left", "B. right"], "mc_answer": "A", "ground_truth": "left"},
    ]  # fmt: skip
    (root).mkdir(parents=True, exist_ok=True)
    (root / "test.json").write_text(json.dumps(rows))
    write_video(root / common["video_path"], FOUR)
    return root


def sti(root: Path) -> Path:
    """STI-Bench, whose options are a struct with a field for each letter of any row."""
    common = {"Video": "000013.mp4", "Source": "Omni6DPose", "Scene": "desktop"}
    rows = [
        {**common, "ID": 0, "Task": "Speed & Acceleration", "time_start": 1.5, "time_end": 4.0,
         "Question": "How fast?", "Candidates": {"A": "1 m/s", "B": "2 m/s", "C": "9 m/s"},
         "Answer": "B"},
        {**common, "ID": 0, "Task": "Pose Estimation", "time_start": 5.0, "time_end": 6.0,
         "Question": "Which pose?", "Candidates": {"A": "up", "B": "down", "C": None},
         "Answer": "A"},
    ]  # fmt: skip
    parquet(root / "qa.parquet", rows)
    write_video(root / "video/000013.mp4", FOUR)
    return root


def spbench(root: Path) -> Path:
    """SPBench-MV."""
    common = {"dataset": "scannet", "scene_name": "scene0015_00", "images": ["1.jpg", "9.jpg"]}
    rows = [
        {"id": 1, **common, "question_type": "object_counting", "question": "How many?",
         "options": None, "ground_truth": "3"},
        {"id": 2, **common, "question_type": "object_rel_distance", "question": "Nearest?",
         "options": MCA, "ground_truth": "A"},
    ]  # fmt: skip
    parquet(root / "SPBench-MV.parquet", rows)
    for number in (1, 9):
        write_image(root / f"SPBench-MV-images/scene0015_00/{number}.jpg", number)
    return root


def spar(root: Path) -> Path:
    """SPAR-Bench, images inside."""

    def row(number: int, task: str, question: str, answer: str, images: int) -> dict[str, Any]:
        return {"id": f"{task}_{number}", "img_type": "single", "format_type": "select",
                "task": task, "source": "scannet", "question": question, "answer": answer,
                "image": [{"bytes": image_bytes(10 * number + n, "JPEG"), "path": f"{n}.jpg"}
                          for n in range(images)]}  # fmt: skip

    rows = [
        row(1, "depth_prediction_oc", "How deep is the bed?", "2.5", 1),
        row(2, "obj_spatial_relation_oo", "Where?\nA. left B. right\nC. above D. below", "C", 1),
        row(3, "view_change_infer", "How did it move?", "move_right:0.3,rotate_left:20", 2),
    ]
    parquet(root / "data/test-00000-of-00002.parquet", rows[:2])
    parquet(root / "data/test-00001-of-00002.parquet", rows[2:])
    return root


def mmsi(root: Path) -> Path:
    """MMSI-Bench: bytes in a list, options in the question."""
    rows = [{
        "id": 0, "images": [image_bytes(1), image_bytes(2)], "question_type": "Motion (Cam.)",
        "question": "How did I turn?\nOptions: A: left, B: right, C: up, D: not at all",
        "answer": "D", "thought": "...",
    }]  # fmt: skip
    parquet(root / "MMSI_Bench.parquet", rows)
    return root


def viewspatial(root: Path) -> Path:
    """ViewSpatial-Bench, unpacked without the folder that its paths begin with."""
    name = "scannetv2_val/scene0011_00/original_images/280.jpg"
    rows = [{
        "question_type": "Camera perspective - Relative Direction",
        "image_path": [f"ViewSpatial-Bench/{name}"], "question": "Where is the counter?",
        "answer": "A. right", "choices": "A. right\nB. front-up\nC. back-left\nD. front",
    }]  # fmt: skip
    root.mkdir(parents=True, exist_ok=True)
    (root / "ViewSpatial-Bench.json").write_text(json.dumps(rows))
    write_image(root / name)
    return root


def mindcube(root: Path) -> Path:
    """MindCube-Tiny as its data.zip unpacks."""
    names = [f"other_all_image/among/plant/{view}_{n}.png" for n, view in enumerate("fblr")]
    rows = [{
        "id": "among_group001_q0_1_1", "category": ["perpendicular"], "type": "among",
        "images": names, "gt_answer": "C",
        "question": "Based on these images: what is to my left? A. Sofa B. Door C. Plant D. Bed",
    }]  # fmt: skip
    jsonl(root / "data/raw/MindCube_tinybench.jsonl", rows)
    for number, name in enumerate(names):
        write_image(root / "data" / name, number)
    return root


def cv_bench(root: Path) -> Path:
    """CV-Bench."""
    prompt = "How many? Select from the following choices.\n(A) 3\n(B) 2\n(C) 1"
    rows = [{
        "idx": 5, "type": "2D", "task": "Count", "question": "How many?",
        "choices": ["3", "2", "1"],
        "answer": "(B)", "prompt": prompt, "filename": "img/2D/count/x.png", "source": "ADE20K",
        "source_filename": "x.jpg", "image": {"bytes": image_bytes(3), "path": None},
    }]  # fmt: skip
    parquet(root / "test.parquet", rows)
    return root


def blink(root: Path) -> Path:
    """BLINK's spatial tasks, a question each."""
    from geovr.evaluation.benchmarks.table import BLINK_TASKS

    for number, task in enumerate(BLINK_TASKS):
        image = {"bytes": image_bytes(number, "JPEG"), "path": None}
        rows = [{
            "idx": f"val_{task}_1", "sub_task": task, "question": "Which?",
            "prompt": "Which?\n(A) A is closer\n(B) B is closer",
            "image_1": image, "image_2": image if number % 2 else None, "image_3": None,
            "image_4": None, "choices": ["A is closer", "B is closer"], "answer": "(A)",
            "explanation": "...",
        }]  # fmt: skip
        parquet(root / task / "val-00000-of-00001.parquet", rows)
    return root


def tsv(path: Path, rows: list[dict[str, str]]) -> Path:
    """A table as pandas writes it with sep="\\t"."""
    import csv

    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter="\t", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return path


def encoded(number: int) -> str:
    """An image in base64."""
    return base64.b64encode(image_bytes(number)).decode()


LAYOUTS: dict[str, Callable[[Path], Path]] = {
    "vsi-bench": vsi, "revsi-16": revsi, "vsti-bench": vsti, "sti-bench": sti,
    "spbench-mv": spbench, "spar-bench": spar, "mmsi-bench": mmsi,
    "viewspatial-bench": viewspatial, "mindcube-tiny": mindcube, "cv-bench": cv_bench,
    "blink-spatial": blink,
}  # fmt: skip
