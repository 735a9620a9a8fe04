"""Next tokens by transformers' own rules, and draws that hang on the question alone."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
import torch
from transformers.generation.logits_process import (
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from geovr.evaluation.generation import chances, draws, next_token, request_seed
from geovr.evaluation.protocol import Generation
from geovr.evaluation.protocols import protocol_named

PAPER = protocol_named("vsi-bench/geovr-paper").generation
SAMPLING = [
    PAPER,
    Generation(do_sample=True),
    Generation(do_sample=True, temperature=0.2, top_k=5),
    Generation(do_sample=True, temperature=3.0, top_p=0.5),
    Generation(do_sample=True, top_k=1000, top_p=0.01),
]


def random_logits(seed: int, vocabulary: int = 200) -> torch.Tensor:
    return 3 * torch.randn(vocabulary, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("generation", SAMPLING)
def test_chances_are_those_of_transformers(generation: Generation) -> None:
    for seed in range(20):
        logits = random_logits(seed)
        scores, ids = logits[None].double(), torch.zeros(1, 1, dtype=torch.int64)
        if generation.temperature:
            scores = TemperatureLogitsWarper(generation.temperature)(ids, scores)
        if generation.top_k:
            scores = TopKLogitsWarper(generation.top_k)(ids, scores)
        if generation.top_p:
            scores = TopPLogitsWarper(generation.top_p)(ids, scores)
        torch.testing.assert_close(chances(logits, generation), scores[0].softmax(-1))


def test_the_penalty_is_that_of_transformers_and_greedy_takes_the_first_of_the_best() -> None:
    generation = Generation(repetition_penalty=1.7)
    seen = torch.tensor([3, 5, 3, 150])
    for seed in range(50):
        logits = random_logits(seed, 160)
        logits[[3, 5, 150]] += 6
        wanted = RepetitionPenaltyLogitsProcessor(1.7)(seen[None], logits[None].clone())
        assert next_token(logits, generation, seen) == int(wanted.argmax())
    assert next_token(torch.tensor([1.0, 4.0, 4.0]), Generation()) == 1


def test_draws_follow_the_chances_and_hang_on_seed_and_question() -> None:
    logits = torch.tensor([0.0, 1.0, 2.0, 3.0])
    generation = Generation(do_sample=True, temperature=1.5, top_k=3)
    found = Counter(
        next_token(logits, generation, random=draws(7, f"q{number}")) for number in range(4000)
    )
    assert set(found) == {1, 2, 3}
    for token, chance in enumerate(chances(logits, generation).tolist()):
        error = math.sqrt(chance * (1 - chance) / 4000)
        assert abs(found[token] / 4000 - chance) <= 4 * error
    assert draws(7, "a").random(5).tolist() == draws(7, "a").random(5).tolist()
    others = [draws(8, "a"), draws(7, "b")]
    assert all(draws(7, "a").random() != other.random() for other in others)
    assert 0 <= request_seed(7, "a") < 2**31 and request_seed(7, "a") == request_seed(7, "a")
    with pytest.raises(ValueError, match="random numbers"):
        next_token(logits, generation)


def test_the_last_token_is_never_passed_over() -> None:
    class AlmostOne(np.random.Generator):
        def random(self, *args: object, **kwargs: object) -> float:  # type: ignore[override]
            return 1.0 - 2**-53

    random = AlmostOne(np.random.Philox(key=1))
    generation = Generation(do_sample=True)
    for seed in range(20):
        assert 0 <= next_token(random_logits(seed), generation, random=random) < 200
