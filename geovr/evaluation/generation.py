"""The next token of an answer: greedy, or drawn as a protocol says and the same each time.

Rules and their order are those of transformers' `generate`: repetition penalty, temperature, top k,
top p. A draw hangs on a seed, the question's id and the number of the token alone, so that neither
the batch nor the process matters.

Shape suffixes: V vocabulary.
"""

from __future__ import annotations

import hashlib

import numpy as np
import torch

from geovr.evaluation.protocol import Generation


def penalised(generation: Generation) -> bool:
    """Whether tokens that were there before become less likely."""
    return generation.repetition_penalty not in (None, 1.0)


def draws(seed: int, question_id: str) -> np.random.Generator:
    """The random numbers of a question, one a token."""
    key = hashlib.sha256(f"{seed}:{question_id}".encode()).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(key[:16], "big")))


def request_seed(seed: int, question_id: str) -> int:
    """The same for a server that takes a seed: 31 bits, as some take no more."""
    return int(draws(seed, question_id).integers(1 << 31))


def next_token(
    logits_V: torch.Tensor,
    generation: Generation,
    seen: torch.Tensor | None = None,
    random: np.random.Generator | None = None,
) -> int:
    """The token that follows.

    Args:
        logits_V: float32, as the model gave them.
        generation: greedy or sampling.
        seen: ids of prompt and answer so far, for the penalty.
        random: of the question, when sampling.
    """
    if seen is not None and penalised(generation):
        logits_V = _penalise(logits_V, seen, float(generation.repetition_penalty or 1.0))
    if not generation.do_sample:
        return int(logits_V.argmax())
    if random is None:
        raise ValueError("sampling needs random numbers")
    sums = np.cumsum(chances(logits_V, generation).numpy())
    return int(np.searchsorted(sums, random.random() * sums[-1], side="right"))


def chances(logits_V: torch.Tensor, generation: Generation) -> torch.Tensor:
    """Probabilities (V), float64, from which a sampled token is drawn."""
    scores_V = logits_V.double() / (generation.temperature or 1.0)
    if generation.top_k:
        least = scores_V.topk(min(generation.top_k, len(scores_V))).values[-1]
        scores_V = scores_V.masked_fill(scores_V < least, -torch.inf)
    if generation.top_p is not None and generation.top_p < 1.0:
        # the least likely are left out whose mass together is no more than 1 - top_p
        ordered, places = scores_V.sort()
        out = ordered.softmax(-1).cumsum(-1) <= 1 - generation.top_p
        out[-1] = False
        scores_V = scores_V.index_fill(0, places[out], -torch.inf)
    return scores_V.softmax(-1)


def _penalise(logits_V: torch.Tensor, seen: torch.Tensor, penalty: float) -> torch.Tensor:
    places = torch.unique(seen)
    found = logits_V[places]
    return logits_V.index_copy(0, places, torch.where(found < 0, found * penalty, found / penalty))
