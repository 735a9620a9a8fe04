"""What is taken for a secret, and what isn't."""

from __future__ import annotations

import base64
import random

import pytest

from infra.policies import check
from infra.policies.manifests import Manifest
from infra.policies.secrets import looks_random

pytestmark = [pytest.mark.fault(53), pytest.mark.fault(52)]


def findings(name: str, value: str) -> int:
    body = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "x", "namespace": "geovr"},
        "data": {name: value},
    }
    return sum(one.rule == "secret-literal" for one in check([Manifest(body)]))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DB_PASSWORD", "x"),
        ("hf-token", "abc"),
        ("aws_secret_access_key", "abc"),
        ("note", "ghp_" + "a1B2" * 6),
        ("note", "hf_" + "a1B2" * 6),
        ("note", "-----BEGIN RSA PRIVATE " + "KEY-----"),
        ("uri", "postgresql://geovr:swordfish@db:5432/mlflow"),
        ("note", "the key is Zm9vYmFy1QzXcVbNm5AsDfGh9LkJ of mine"),
    ],
)
def test_secrets_are_found(name: str, value: str) -> None:
    assert findings(name, value) == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TOKENIZERS_PARALLELISM", "false"),
        ("POSTGRES_PASSWORD_FILE", "/etc/postgres-secret/password"),
        ("ADMIN_PASSWORD", "$(OTHER)"),
        ("ADMIN_PASSWORD", "{{ .password }}"),
        ("image", "geovr/cpu@sha256:" + "0123456789abcdef" * 4),
        ("model", "models/Qwen3-VL-4B-Instruct, weights/DA3METRIC-LARGE/model.safetensors"),
        ("uri", "postgresql://db:5432/mlflow"),
        ("max_tokens_note", ""),
    ],
)
def test_other_things_are_not(name: str, value: str) -> None:
    assert findings(name, value) == 0


def test_generated_keys_look_generated() -> None:
    """Most of 24 characters, and nearly all longer ones."""
    numbers = random.Random(7)
    for length, least in ((24, 0.85), (32, 0.95), (40, 0.97)):
        keys = [base64.b64encode(numbers.randbytes(length))[:length].decode() for _ in range(500)]
        assert sum(map(looks_random, keys)) / len(keys) >= least
