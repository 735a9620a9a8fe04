"""The named protocols. Their wordings are data: a score is comparable only with the exact words.

Each names the file in which it was read; of repositories that change, the state of August 2026.
"""

from __future__ import annotations

from collections.abc import Mapping

from geovr.data.prompts import LETTER, NUMBER
from geovr.errors import UserError
from geovr.evaluation.protocol import Generation, Prompts, Protocol

_FRAMES = "These are frames of a video."
_LETTER = "Answer with the option's letter from the given choices directly."
_WORD = "Please answer the question using a single word or phrase."
_VSI = Prompts(
    number=f"{_FRAMES}\n{{question}}\n{_WORD}",
    choice=f"{_FRAMES}\n{{question}}\nOptions:\n{{options}}\n{_LETTER}",
)
_BOXES = (
    "The values represent the bounding box coordinates normalized to a 0-1000 scale, with the"
    " top-left corner as the origin of the image."
)
_NOTE = (
    "Note: You only need to respond with {letters} without providing any additional information."
)
_MINDCUBE = (
    "[Task]\nYour task is to analyze the spatial arrangement of objects in the scene by examining"
    " the provided images, which show the scene from different viewpoints.\n[Answer Instruction]\n"
    "You only need to provide *ONE* correct answer selecting from the options listed below. For"
    " example, if you think the correct answer is 'A. Above' from 'A. Above B. Under C. Front"
    " D. Behind', your response should **only** be '<answer>A. Above</answer>'.\n\n"
    "[Question]\n{question}"
)


def _revsi(budget: str) -> Protocol:
    return Protocol(
        name=f"revsi-{budget}/official",
        benchmark=f"revsi-{budget}",
        # its videos hold just the frames of the budget, so every sampler gives all of them
        frames=128 if budget == "all" else int(budget),
        sampler="linspace_floor",
        prompts=Prompts(
            number=f"{_FRAMES}\n{{question}}\nAnswer the question using a single integer or decimal"
            " number.",
            choice=_VSI.choice,
        ),
        source="EvolvingLMMs-Lab/lmms-eval tasks/revsi; 128 of `all` is VLMEvalKit's",
    )


def _spbench(views: str) -> Protocol:
    return Protocol(
        name=f"spbench-{views}/official",
        benchmark=f"spbench-{views}",
        prompts=Prompts(
            number="Question: {question}\n\nPlease answer the question using a numerical value"
            " (e.g., 42 or 3.1) directly.",
            choice="Question: {question}\nOptions:\n{options}\n\nPlease answer with the option's"
            " letter from the given choices (e.g., A, B, etc.) directly.",
        ),
        # it samples at a temperature of 0.01, which is greedy but for ties
        generation=Generation(max_new_tokens=1024),
        source="ZJU-REAL/SpatialLadder eval_spld/data_utils/vsi_utils.py; its limit of tokens is an"
        " argument, 1024 is ours",
    )


def _spar(name: str) -> Protocol:
    choice = f"\n{{question}}\n\n{_LETTER}"
    boxes = f"\n{{question}}\n{_BOXES}\n{_LETTER}"
    return Protocol(
        name=f"{name}/official",
        benchmark=name,
        prompts=Prompts(
            number=f"\n{{question}}\n{_WORD}",
            choice=choice,
            by_kind={
                "position_matching": boxes,
                "camera_motion_infer": boxes,
                "view_change_infer": "\n{question}\n\n",
            },
        ),
        generation=Generation(max_new_tokens=100),
        source="LogosRoboticsGroup/SPAR, as copied in lmms-eval tasks/sparbench",
    )


def _mindcube(name: str) -> Protocol:
    return Protocol(
        name=f"{name}/official",
        benchmark=name,
        prompts=Prompts(choice=_MINDCUBE, number=_MINDCUBE),
        generation=Generation(max_new_tokens=4096),
        source="mll-lab-nu/MindCube src/prompt_generation/templates.py (raw_qa); the limit of"
        " tokens is lmms-eval's",
    )


_ALL = (
    Protocol(
        name="vsi-bench/official",
        benchmark="vsi-bench",
        frames=32,
        sampler="linspace_floor",
        prompts=_VSI,
        source="vision-x-nyu/thinking-in-space lmms_eval/tasks/vsibench: the pre-prompt is put"
        " there although its setting is empty; the number of frames is the model's, 32 the usual",
    ),
    Protocol(
        name="vsi-bench/easi",
        benchmark="vsi-bench",
        frames=32,
        sampler="uniform_tail",
        prompts=Prompts(
            number=f"{_FRAMES}\n{{question}}\nAnswer briefly and directly in one float number.",
            choice=f"{_FRAMES}\n{{question}}\n{{options}}\n{_LETTER}",
        ),
        generation=Generation(max_new_tokens=4096),
        source="open-compass/VLMEvalKit vlmeval/dataset/vsibench.py; frames and tokens are the"
        " model's there",
    ),
    Protocol(
        name="vsi-bench/geovr-paper",
        benchmark="vsi-bench",
        frames=128,
        sampler="linspace_round",
        prompts=Prompts(
            number="{question}\nPlease answer the question ONLY using a single Arabic numeral.",
            choice="{question}\n{options}\nAnswer with ONLY the option's letter directly.",
        ),
        generation=Generation(
            max_new_tokens=32 * 1024,
            do_sample=True,
            temperature=0.7,
            top_p=0.8,
            top_k=20,
            repetition_penalty=1.0,
        ),
        min_pixels=4 * 128 * 32 * 32,
        max_pixels=384 * 128 * 32 * 32,
        source="WHB139426/GeoVR-MLLM eval_vsi.py at aa5be40; its sampling is not seeded",
    ),
    *(_revsi(budget) for budget in ("16", "32", "64", "all")),
    Protocol(
        name="vsti-bench/official",
        benchmark="vsti-bench",
        frames=32,
        sampler="linspace_floor",
        prompts=_VSI,
        source="VITA-Group/VLM-3R thinking-in-space/lmms_eval/tasks/vstibench",
    ),
    _spbench("si"),
    _spbench("mv"),
    _spar("spar-bench"),
    _spar("spar-bench-tiny"),
    Protocol(
        name="mmsi-bench/official",
        benchmark="mmsi-bench",
        prompts=Prompts(
            choice=f"{{question}}\n{_LETTER} Enclose the option's letter within ``.",
        ),
        generation=Generation(max_new_tokens=2048),
        source="OpenRobotLab/MMSI-Bench, and lmms-eval tasks/mmsi_bench",
    ),
    Protocol(
        name="viewspatial-bench/official",
        benchmark="viewspatial-bench",
        # no line between question and choices: so it stands in the authors' code
        prompts=Prompts(
            choice="{question}{options}\nReply only to the corresponding option.\nAnswer:"
        ),
        generation=Generation(max_new_tokens=128),
        source="ZJU-REAL/ViewSpatial-Bench evaluate.py",
    ),
    Protocol(
        name="viewspatial-bench/easi",
        benchmark="viewspatial-bench",
        prompts=Prompts(
            choice="Question: {question}\nChoices: {options}\nReply only to the corresponding"
            " option.\nAnswer:"
        ),
        generation=Generation(max_new_tokens=128),
        source="lmms-eval tasks/viewspatial and VLMEvalKit viewspatialbench.py, by the paper",
    ),
    _mindcube("mindcube-tiny"),
    _mindcube("mindcube"),
    Protocol(
        name="sti-bench/official",
        benchmark="sti-bench",
        frames=30,
        sampler="interval",
        media="after",
        prompts=Prompts(
            choice="Answer the question below based on the frames provided, which are sampled at"
            " about {fps} FPS.\nQuestion: {question}\n{options}\nPlease output only the option you"
            " choose!",
            option="{letter} {text}",
        ),
        generation=Generation(max_new_tokens=100),
        source="MINT-SJTU/STI-Bench openai_test.py",
    ),
    Protocol(
        name="cv-bench/official",
        benchmark="cv-bench",
        prompts=Prompts(choice="{question}"),
        generation=Generation(max_new_tokens=1024),
        source="the data set's own `prompt`, as VLMEvalKit's CVBench asks it; tokens by lmms-eval",
    ),
    Protocol(
        name="cv-bench/lmms",
        benchmark="cv-bench",
        prompts=Prompts(choice=f"{_NOTE}\n\n{{question}}"),
        generation=Generation(max_new_tokens=1024),
        source="lmms-eval tasks/cv_bench",
    ),
    Protocol(
        name="blink-spatial/official",
        benchmark="blink-spatial",
        prompts=Prompts(choice="{question}"),
        generation=Generation(max_new_tokens=1024),
        source="the data set's own `prompt`; tokens by lmms-eval",
    ),
    Protocol(
        name="blink-spatial/lmms",
        benchmark="blink-spatial",
        prompts=Prompts(choice=f"{_NOTE}\n{{question}}"),
        generation=Generation(max_new_tokens=1024),
        source="lmms-eval tasks/blink",
    ),
)
FLOW = Protocol(
    name="flow",
    benchmark="",
    prompts=Prompts(
        number=f"{{question}}\n{NUMBER}",
        choice=f"{{question}}\nOptions:\n{{options}}\n{LETTER}",
        # its answer is a list of motions, which no training question asks for
        by_kind={"view_change_infer": "{question}"},
    ),
    source="geovr/data/prompts.py: the words of training",
)
"""How the flow asks when no other protocol is named: any benchmark, any frames."""

PROTOCOLS: Mapping[str, Protocol] = {protocol.name: protocol for protocol in _ALL}


def protocol_named(name: str) -> Protocol:
    """A protocol.

    Raises:
        UserError: listing what is known.
    """
    if name == FLOW.name:
        return FLOW
    if name not in PROTOCOLS:
        raise UserError(f"{name}: no such protocol; known are {', '.join(PROTOCOLS)}")
    return PROTOCOLS[name]


def protocols_of(benchmark: str) -> list[str]:
    """Names of the protocols by which a benchmark can be asked; VSI-Bench's parts share its own."""
    family = "vsi-bench" if benchmark.startswith("vsi-bench") else benchmark
    return [name for name, protocol in PROTOCOLS.items() if protocol.benchmark == family]
