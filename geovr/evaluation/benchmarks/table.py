"""Which benchmarks are known, at which revision, and under which terms.

A revision stands here only if its full hash could be read on the hub's own page of it. Where that
was not possible it is None, and `unpinned` says why: the first fetch then takes the newest one,
records it with the digest of every file in geovr-benchmark.json, and from then on that is what
`verify` holds the directory to. No digest here is invented.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from geovr.errors import UserError
from geovr.evaluation.benchmarks import stills, videos
from geovr.evaluation.benchmarks.item import MediaType, Parsed

Parse = Callable[[Mapping[str, Any], int], Parsed]
NOT_SEEN = "no page with the full hash of a revision could be read when this table was written"
_VSI_TERMS = (
    "Its videos come from ScanNet, ScanNet++ and ARKitScenes, whose terms of use hold too: research"
    " only, not to be passed on."
)


@dataclass(frozen=True)
class Source:
    """A benchmark, or a training set.

    Attributes:
        name: what commands and protocols call it.
        title: what people call it.
        repo: of the hub, of type dataset.
        revision: full commit hash; None as told above.
        unpinned: why there is no revision.
        questions: alternatives, the first whose patterns all match is read.
        fetch: patterns of the files that are needed; archives among them are unpacked.
        parse: a record's fields; a .tsv file has a layout of its own.
        media_type: what questions are about.
        licence: of the questions, by the hub's page or the repository.
        terms: what else holds.
        citation: arXiv number.
        count: of the questions, where it could be counted or read; None: the first fetch's.
        reported: how many there are by the publisher, when that was not checked.
        subset: which of VSI-Bench's questions.
        options_inside: whether the wording holds the options already.
        media_roots: folders in which media are looked for.
        strip: the beginning of media paths that may be missing in the directory.
        sha256: known digests of files.
    """

    name: str
    title: str
    repo: str
    questions: tuple[tuple[str, ...], ...]
    fetch: tuple[str, ...]
    parse: Parse | None
    media_type: MediaType
    licence: str
    citation: str
    terms: str = ""
    revision: str | None = None
    unpinned: str = ""
    count: int | None = None
    reported: str = ""
    subset: Literal["all", "debiased", "pruned"] = "all"
    options_inside: bool = False
    media_roots: tuple[str, ...] = ("",)
    strip: str = ""
    sha256: Mapping[str, str] = field(default_factory=dict)


def _vsi(name: str, title: str, subset: Literal["all", "debiased", "pruned"]) -> Source:
    full = subset == "all"
    own = f"test_{subset}*.parquet"
    tables = ("test.jsonl", "test*.parquet", "pruned_ids.txt")
    return Source(
        name=name,
        title=title,
        repo="nyu-visionx/VSI-Bench",
        # the release of December 2024, which results are published on; it has one table
        revision="668dd47863a49c6ee50946df1bf085a039fc95cd" if full else None,
        unpinned="" if full else "the revision that brought `pruned` is known by 7 digits only",
        questions=(
            (("test-*.parquet",), ("test.jsonl",), ("VSI-Bench.tsv",))
            if full
            else ((own,), ("test.jsonl",), (f"VSI-Bench-{subset.title()}.tsv",))
        ),
        fetch=("*.zip", *tables),
        parse=videos.vsi,
        media_type="video",
        licence="Apache-2.0",
        terms=_VSI_TERMS,
        citation="2412.14171" if full else "2511.04655",
        count=5130 if full else None,
        subset=subset,
    )


def _revsi(frames: str) -> Source:
    return Source(
        name=f"revsi-{frames}",
        title=f"ReVSI, {frames} frames",
        repo="3dlg-hcvc/ReVSI",
        unpinned=NOT_SEEN,
        questions=(
            (f"{frames}_frame/test*.parquet",),
            (f"{frames}_frame*.parquet",),
            (f"data/{frames}_frame*.parquet",),
            (f"{frames}_frame.tsv",),
        ),
        fetch=("video.zip", f"*{frames}_frame*.parquet"),
        parse=videos.revsi,
        media_type="video",
        licence="see the hub's page",
        terms=_VSI_TERMS,
        citation="ReVSI (2026)",
        media_roots=("", "revsi_videos/", "video/"),
    )


def _spbench(views: str, reported: str) -> Source:
    return Source(
        name=f"spbench-{views.lower()}",
        title=f"SPBench-{views}",
        repo="hongxingli/SPBench",
        unpinned=NOT_SEEN,
        questions=(
            (f"SPBench-{views}.parquet",),
            (f"**/SPBench-{views}.parquet",),
            (f"SPBench-{views}.tsv",),
        ),
        fetch=(f"*SPBench-{views}*", "*.zip"),
        parse=stills.spbench,
        media_type="images",
        licence="see the hub's page",
        terms="Its images come from ScanNet, whose terms of use hold too.",
        citation="2510.08531",
        reported=reported,
        media_roots=(f"SPBench-{views}-images/", f"SPBench-{views}/images/", "images/", ""),
    )


def _spar(name: str, title: str, count: int) -> Source:
    return Source(
        name=name,
        title=title,
        repo=f"jasonzhango/{title}",
        unpinned=NOT_SEEN,
        questions=(
            ("data/test-*.parquet",),
            ("SparBench_tiny.tsv" if "tiny" in name else "SparBench.tsv",),
        ),
        fetch=("data/*.parquet",),
        parse=stills.spar,
        media_type="images",
        licence="see the hub's page",
        terms="Its images come from ScanNet and ScanNet++, whose terms of use hold too.",
        citation="2503.22976",
        count=count,
        options_inside=True,
    )


def _mindcube(name: str, title: str, stem: str, reported: str) -> Source:
    return Source(
        name=name,
        title=title,
        repo="MLL-Lab/MindCube",
        unpinned=NOT_SEEN,
        questions=(
            (f"data/raw/{stem}.jsonl",),
            (f"raw/{stem}.jsonl",),
            (f"{stem}.jsonl",),
            (f"MindCubeBench_{'tiny_' if 'tiny' in name else ''}raw_qa.tsv",),
        ),
        fetch=("*.zip", "*.jsonl"),
        parse=stills.mindcube,
        media_type="images",
        licence="MIT",
        citation="2506.21458",
        reported=reported,
        options_inside=True,
        media_roots=("data/", ""),
    )


BLINK_TASKS = (
    "Relative_Depth",
    "Spatial_Relation",
    "Multi-view_Reasoning",
    "Visual_Correspondence",
    "Semantic_Correspondence",
    "Functional_Correspondence",
)

_ALL = (
    _vsi("vsi-bench", "VSI-Bench", "all"),
    _vsi("vsi-bench-debiased", "VSI-Bench-Debiased", "debiased"),
    _vsi("vsi-bench-pruned", "VSI-Bench, what debiasing removed", "pruned"),
    *(_revsi(frames) for frames in ("16", "32", "64", "all")),
    Source(
        name="vsti-bench",
        title="VSTI-Bench",
        repo="Journey9ni/vstibench",
        unpinned=NOT_SEEN,
        questions=(("test.json*",), ("*test*.json*",), ("data/test*.parquet",), ("test*.parquet",)),
        fetch=("*.json", "*.jsonl", "*.parquet", "*.zip"),
        parse=videos.vsti,
        media_type="video",
        licence="see the hub's page",
        terms=_VSI_TERMS + " Camera labels of revisions before July 2026 are wrong by its authors.",
        citation="2505.20279",
        media_roots=("", "videos/"),
    ),
    _spbench("SI", "1,009"),
    _spbench("MV", "319"),
    _spar("spar-bench", "SPAR-Bench", 7211),
    _spar("spar-bench-tiny", "SPAR-Bench-Tiny", 1000),
    Source(
        name="mmsi-bench",
        title="MMSI-Bench",
        repo="RunsenXu/MMSI-Bench",
        unpinned=NOT_SEEN,
        questions=(("MMSI_Bench.parquet",), ("**/*.parquet",), ("MMSIBench_wo_circular.tsv",)),
        fetch=("*.parquet",),
        parse=stills.mmsi,
        media_type="images",
        licence="CC-BY-NC-4.0",
        citation="2505.23764",
        count=1000,
        options_inside=True,
    ),
    Source(
        name="viewspatial-bench",
        title="ViewSpatial-Bench",
        repo="lidingm/ViewSpatial-Bench",
        unpinned=NOT_SEEN,
        questions=(("ViewSpatial-Bench.json",), ("ViewSpatialBench.tsv",)),
        fetch=("ViewSpatial-Bench.json", "scannetv2_val.zip", "val2017.zip"),
        parse=stills.viewspatial,
        media_type="images",
        licence="see the hub's page",
        terms="Its images come from ScanNet and COCO, whose terms of use hold too.",
        citation="2505.21500",
        count=5712,
        strip="ViewSpatial-Bench/",
    ),
    _mindcube("mindcube-tiny", "MindCube-Tiny", "MindCube_tinybench", "1,050"),
    _mindcube("mindcube", "MindCube", "MindCube", "21,154"),
    Source(
        name="sti-bench",
        title="STI-Bench",
        repo="MINT-SJTU/STI-Bench",
        unpinned=NOT_SEEN,
        questions=(("qa.parquet",), ("STIBench.tsv",)),
        fetch=("qa.parquet", "video.zip"),
        parse=videos.sti,
        media_type="video",
        licence="see the hub's page",
        terms="Its videos come from ScanNet, Waymo and Omni6DPose, whose terms of use hold too.",
        citation="2503.23765",
        reported="2,064",
        media_roots=("video/", "videos/", ""),
    ),
    Source(
        name="cv-bench",
        title="CV-Bench",
        repo="nyu-visionx/CV-Bench",
        revision="22409a927ab5cf68e3655023d51694587455fc99",
        questions=(("test.parquet",), ("test_2d.parquet", "test_3d.parquet")),
        fetch=("test*.parquet",),
        parse=stills.cv_bench,
        media_type="images",
        licence="Apache-2.0",
        terms="Its images come from ADE20K, COCO and Omni3D, whose terms of use hold too.",
        citation="2406.16860",
        count=2638,
        options_inside=True,
    ),
    Source(
        name="blink-spatial",
        title="BLINK, spatial tasks",
        repo="BLINK-Benchmark/BLINK",
        revision="7168ff25e5a186b44ef648ab5159e1aefd58eee8",
        # the answers of its test split are not published
        questions=(tuple(f"{task}/val-*.parquet" for task in BLINK_TASKS),),
        fetch=tuple(f"{task}/val-*.parquet" for task in BLINK_TASKS),
        parse=stills.blink,
        media_type="images",
        licence="Apache-2.0",
        citation="2404.12390",
        options_inside=True,
    ),
)
BENCHMARKS = {source.name: source for source in _ALL}

_TRAINING = (
    Source(
        name="vsi-590k",
        title="VSI-590K",
        repo="nyu-visionx/VSI-590K",
        unpinned=NOT_SEEN,
        questions=(("vsi_590k.jsonl",),),
        fetch=("vsi_590k.jsonl", "*.tar.gz"),
        parse=None,
        media_type="video",
        licence="Apache-2.0",
        terms=_VSI_TERMS + " ADT, Hypersim and ProcTHOR have terms of their own. About 236 GB.",
        citation="2511.04670",
    ),
    Source(
        name="vlm-3r",
        title="VLM-3R, VSI part",
        repo="Journey9ni/VLM-3R-DATA",
        unpinned=NOT_SEEN,
        questions=(("vlm3r_vsi_205k.json",), ("**/vlm3r_vsi_205k.json",)),
        fetch=("*vlm3r_vsi_205k.json",),
        parse=None,
        media_type="video",
        licence="see the hub's page",
        terms=_VSI_TERMS + " Its videos are not published with it; VSI-590K's are the same.",
        citation="2505.20279",
    ),
)
DATASETS = {source.name: source for source in _TRAINING}


def source_named(name: str, table: Mapping[str, Source]) -> Source:
    """An entry of a table.

    Raises:
        UserError: listing what is known.
    """
    if name not in table:
        raise UserError(f"{name}: not a known name; known are {', '.join(table)}")
    return table[name]
