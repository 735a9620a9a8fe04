"""The images file: which image each step runs in, and each job that a step launches."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from geovr.config import apply_overrides, read_params, stage_values, validate
from geovr.errors import UserError
from geovr.stages import BY_NAME, STAGES

KEYS = (
    "default",
    *BY_NAME,
    "notify",
    *(f"launch.{stage.name}" for stage in STAGES if stage.launchable),
)
"""`default` and a step's name stand for the image of its pod; `launch.` for its TorchX job's."""
_DIGEST = re.compile(r"[^@\s]+@sha256:[0-9a-f]{64}")


def read_images(path: Path | None) -> dict[str, str]:
    """Step, `default` or `launch.STAGE` -> image, from a JSON file; every image by its digest.

    Raises:
        UserError: naming the file and the key.
    """
    if path is None:
        return {}
    try:
        images = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise UserError(
            f"--images {path}: {error}; it is JSON, step or `default` -> image"
        ) from None
    if not isinstance(images, dict):
        raise UserError(f"--images {path}: expected a mapping of step or `default` to image")
    for name, image in images.items():
        if name not in KEYS:
            near = difflib.get_close_matches(name, KEYS, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(KEYS)}"
            raise UserError(f"{path}: {name}: no step of the pipeline; {hint}")
        if not isinstance(image, str) or _DIGEST.fullmatch(image) is None:
            raise UserError(f"{path}: {name}: {image} is no digest; name images by @sha256:")
    return images


def with_images(parameters: Mapping[str, str], images: Mapping[str, str]) -> dict[str, str]:
    """The pipeline's parameters, where a stage's job on Kubernetes gets the image of the file.

    An image that a config names itself stays.

    Args:
        parameters: stage -> its config as JSON; it need not be valid yet, as one that launches on
            Kubernetes is only with an image.
        images: of `read_images`.
    """
    filled = dict(parameters)
    for name, text in parameters.items():
        image = images.get(f"launch.{name}")
        config: Any = json.loads(text)
        launch = config.get("launch") if isinstance(config, dict) else None
        if image is None or not isinstance(launch, dict):
            continue
        if launch.get("scheduler") == "kubernetes" and not launch.get("image"):
            filled[name] = json.dumps(config | {"launch": launch | {"image": image}})
    return filled


def stage_parameters(
    params: Path, overrides: list[str], images: Mapping[str, str]
) -> dict[str, str]:
    """The pipeline's parameters from a params file: stage -> its valid config as JSON.

    Every section is read before anything runs, so that a typing error costs no stage.

    Raises:
        UserError: naming file and key of what is wrong.
    """
    values = apply_overrides(read_params(params), overrides)
    texts = {stage.name: json.dumps(stage_values(values, stage.name)) for stage in STAGES}
    filled = with_images(texts, images)
    return {
        stage.name: validate(
            stage.config_class(),
            json.loads(filled[stage.name]),
            source=f"{params}, section {stage.name}",
        ).model_dump_json()
        for stage in STAGES
    }
