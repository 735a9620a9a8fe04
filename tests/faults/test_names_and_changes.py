"""File names of every kind, and files that change while they are read (faults 16 and 18)."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from geovr.artifacts import ClipSet
from geovr.data.clips import read_clip
from geovr.data.decode_pool import DecodePool
from geovr.data.questions import read_questions
from geovr.errors import UserError
from geovr.stages.ingest import IngestConfig, ingest
from geovr.storage import Store
from tests.media import write_video

FOUR = [0.5 * n for n in range(4)]
NAMES = (
    "plain", "two words", "new\nline", "tab\t", "日本語", "emoji😀", "a..b", "quote'\"$(touch x);",
    "x" * 251, "ünï", "combining e\u0301", "-dash", "%41", "back\\slash", "#hash", "*", "~",
)  # fmt: skip


def run(root: Path, videos: Path | str, **values: Any) -> ClipSet:
    config = IngestConfig(store=str(root / "store"), videos=str(videos), workers=1, **values)
    return ingest(config, output=root / "clips")


def aside(clips: ClipSet) -> dict[str, str]:
    counts = clips.manifest.counts
    assert counts["videos_in"] == counts["clips"] + counts["videos_quarantined"]
    return {row.name: row.reason for row in clips.quarantine.itertuples(index=False)}


@pytest.mark.fault(16)
def test_any_name_of_a_file_is_a_name_of_a_clip(tmp_path: Path) -> None:
    folder = tmp_path / "videos"
    source = write_video(tmp_path / "source.mp4", FOUR)
    folder.mkdir()
    rows = []
    for name in NAMES:
        # bytes of its own each, so that no clip passes for another
        data = source.read_bytes() + (9).to_bytes(4, "big") + b"free" + bytes([len(rows)])
        (folder / f"{name}.mp4").write_bytes(data)
        rows.append(
            {
                "conversations": [{"value": "How far?"}, {"value": "1"}],
                "video": f"{name}.mp4", "id": f"about {name}",
            }
        )  # fmt: skip
    path = tmp_path / "q.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    clips = run(tmp_path, folder, questions=[{"path": str(path), "split": "train"}])
    assert aside(clips) == {}
    assert sorted(clips.index["clip_id"]) == sorted(NAMES)
    asked = dict(zip(clips.questions["id"], clips.questions["clip_id"], strict=True))
    assert asked == {f"about {name}": name for name in NAMES}
    again = ClipSet.load(tmp_path / "clips")
    for row in again.index.itertuples(index=False):
        assert read_clip(again.store, row).clip_id == row.clip_id
        # whatever the name, the object's key is made of digests
        assert not set(row.object_key) - set("abcdefghijklmnopqrstuvwxyz0123456789/.")
    assert not list(tmp_path.rglob("x"))


@pytest.mark.fault(16)
@pytest.mark.timeout(60)
def test_links_pipes_and_devices_are_used_or_named(tmp_path: Path) -> None:
    folder, outside = tmp_path / "videos", tmp_path / "outside"
    write_video(outside / "film.mp4", FOUR)
    (folder / "sub").mkdir(parents=True)
    for name, target in {
        "link.mp4": outside / "film.mp4", "folder": outside, "nothing.mp4": outside / "none.mp4",
        "itself.mp4": folder / "itself.mp4", "sub/up": folder, "text.mp4": Path("/etc/hostname"),
        "endless.mp4": Path("/dev/zero"),
    }.items():  # fmt: skip
        (folder / name).symlink_to(target)
    os.mkfifo(folder / "pipe.mp4")
    shutil.copy(outside / "film.mp4", os.fsencode(folder) + b"/\xff\xfe.mp4")
    clips = run(tmp_path, folder)
    assert sorted(clips.index["clip_id"]) == ["folder/film", "link"]
    found = aside(clips)
    reasons = {
        "nothing.mp4": "the file is missing", "itself.mp4": "it can't be read: Too many levels",
        "text.mp4": "not a readable video", "endless.mp4": "it is no regular file",
        "pipe.mp4": "it is no regular file", "\\udcff\\udcfe.mp4": "its name is not UTF-8",
    }  # fmt: skip
    assert found.keys() == reasons.keys()
    assert all(found[name].startswith(reason) for name, reason in reasons.items())


@pytest.mark.fault(16)
def test_a_list_names_what_it_can_not_have(tmp_path: Path) -> None:
    write_video(tmp_path / "a/film.mp4", FOUR)
    (tmp_path / "b").mkdir()
    listed = tmp_path / "b/list.txt"
    absolute = str(tmp_path / "a/film.mp4")
    long = "y" * 300 + ".mp4"
    listed.write_text(f"../a/film.mp4\n{absolute}\n\0.mp4\n{long}\n../../../../etc/none.mp4\n")
    clips = run(tmp_path, listed)
    # the same film by both names, as the list says
    assert len(clips.index) == 2 and clips.manifest.details["decoded"] == 1
    assert aside(clips) == {
        "\\0.mp4": "its name holds a NUL", long: "it can't be read: File name too long",
        "../../../../etc/none.mp4": "the file is missing",
    }  # fmt: skip


@pytest.mark.fault(16)
def test_a_question_opens_no_file_by_the_name_it_gives(tmp_path: Path) -> None:
    write_video(tmp_path / "videos/a.mp4", FOUR)
    write_video(tmp_path / "outside.mp4", FOUR)
    names = ["../outside.mp4", str(tmp_path / "outside.mp4"), "a\0.mp4", "./a.mp4"]
    rows = [{"conversations": [{"value": "How far?"}, {"value": "1"}], "video": n} for n in names]
    path = tmp_path / "q.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    clips = run(tmp_path, tmp_path / "videos", questions=[{"path": str(path), "split": "train"}])
    assert list(clips.index["clip_id"]) == ["a"] and clips.questions.empty
    assert len(clips.quarantine) == len(names)


@pytest.mark.fault(16)
@pytest.mark.parametrize("key", ["../outside", "a/../../outside", "/outside", "a/b/../../../x"])
def test_a_key_stays_in_the_store_whatever_is_done_with_it(tmp_path: Path, key: str) -> None:
    (tmp_path / "outside").write_bytes(b"kept")
    store = Store.open(str(tmp_path / "store"))
    for act in (
        store.get, store.exists, store.remove, lambda k: store.put(k, b"x"),
        lambda k: store.put_new(k, b"x"),
    ):  # fmt: skip
        with pytest.raises(UserError, match="the key leaves the store"):
            act(key)
    assert (tmp_path / "outside").read_bytes() == b"kept"


@pytest.mark.fault(18)
@pytest.mark.parametrize("how", ["grows", "is replaced", "vanishes"])
def test_a_file_that_changes_while_it_is_read_is_put_aside(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "videos"
    write_video(folder / "calm.mp4", FOUR, size=(32, 32))
    path = write_video(folder / "restless.mp4", FOUR)
    sound = path.read_bytes()
    other = write_video(tmp_path / "other.mp4", FOUR[:3])
    real = DecodePool.decode

    def decode(self: DecodePool, paths: list[Path], *, images: bool) -> bytes:
        data = real(self, paths, images=images)
        if paths == [path]:
            if how == "grows":
                path.write_bytes(sound + bytes(8))
            elif how == "is replaced":
                other.replace(path)
            else:
                path.unlink()
        return data

    with monkeypatch.context() as patch:
        patch.setattr(DecodePool, "decode", decode)
        clips = run(tmp_path, folder)
    reason = "the file is missing" if how == "vanishes" else "it changed while it was read"
    assert aside(clips) == {"restless.mp4": reason}
    assert list(clips.index["clip_id"]) == ["calm"]
    assert len(clips.store.keys("clips")) == 1
    path.write_bytes(sound)
    assert list(run(tmp_path, folder).index["clip_id"]) == ["calm", "restless"]


@pytest.mark.fault(19)
@pytest.mark.parametrize("content", [b"", b"\n\r\n", b"[]", b"\xef\xbb\xbf"])
def test_a_question_file_of_nothing_is_the_users_mistake(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "q.jsonl"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"q\.jsonl: holds no record; copy it again"):
        read_questions(path, "train", "auto")
