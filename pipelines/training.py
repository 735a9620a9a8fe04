"""The pipeline: seven stages, top to bottom. Each stage's config is one JSON parameter."""

from collections.abc import Mapping
from typing import Any

from kfp import dsl

from components.check_clips import check_clips as check_clips_component
from components.check_targets import check_targets as check_targets_component
from components.evaluate import evaluate as evaluate_component
from components.extract_targets import extract_targets as extract_targets_component
from components.image import IMAGE
from components.ingest import ingest as ingest_component
from components.register import register as register_component
from components.train import train as train_component
from geovr.quality.suites import suite_digest

NAME = "geovr-training"


def make_pipeline(images: Mapping[str, str] | None = None, *, fixed_data: bool = False) -> Any:
    """The pipeline with the images of a file given to `compile`.

    Args:
        images: stage name (or `default`) -> image by digest.
        fixed_data: the data is named by a DVC revision, so that ingest may be cached too.
    """
    chosen = images or {}

    def placed(task: dsl.PipelineTask) -> dsl.PipelineTask:
        image = chosen.get(task.name.replace("-", "_"), chosen.get("default", IMAGE))
        return task.set_container_image(image)

    @dsl.pipeline(name=NAME, description="Video to registered model, gated between stages.")
    def training(
        ingest: str,
        check_clips: str,
        extract_targets: str,
        check_targets: str,
        train: str,
        evaluate: str,
        register: str,
    ) -> None:
        clips = placed(ingest_component(config_json=ingest))
        # what lies behind a path may have changed since; only a revision stays what it is
        clips.set_caching_options(fixed_data)
        of_clips = {"clips": clips.outputs["clips"], "clips_digest": clips.outputs["Output"]}

        clips_checked = placed(
            check_clips_component(
                config_json=check_clips, suite_digest=suite_digest("check_clips"), **of_clips
            )
        )

        targets = placed(extract_targets_component(config_json=extract_targets, **of_clips))
        targets.after(clips_checked)
        of_targets = {
            "targets": targets.outputs["targets"],
            "targets_digest": targets.outputs["Output"],
        }

        targets_checked = placed(
            check_targets_component(
                config_json=check_targets,
                suite_digest=suite_digest("check_targets"),
                **of_clips,
                **of_targets,
            )
        )

        trained = placed(train_component(config_json=train, **of_clips, **of_targets))
        trained.after(targets_checked)
        of_checkpoint = {
            "checkpoint": trained.outputs["checkpoint"],
            "checkpoint_digest": trained.outputs["Output"],
        }

        evaluated = placed(evaluate_component(config_json=evaluate, **of_clips, **of_checkpoint))

        registered = placed(
            register_component(
                config_json=register,
                evaluation=evaluated.outputs["evaluation"],
                evaluation_digest=evaluated.outputs["Output"],
                **of_checkpoint,
            )
        )
        # it has effects beyond its output, and the champion may be another one by now
        registered.set_caching_options(False)

    return training
