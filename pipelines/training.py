"""The pipeline: seven stages, top to bottom. Each stage's config is one JSON parameter."""

from collections.abc import Mapping
from typing import Any

from kfp import dsl

from components.check_clips import check_clips as check_clips_component
from components.check_targets import check_targets as check_targets_component
from components.evaluate import evaluate as evaluate_component
from components.extract_targets import extract_targets as extract_targets_component
from components.ingest import ingest as ingest_component
from components.notify import notify as notify_component
from components.register import register as register_component
from components.train import train as train_component
from geovr.quality.suites import suite_digest
from geovr.stages import BY_NAME
from pipelines import DESCRIPTION, NAME
from pipelines.cluster import ClusterConfig
from pipelines.placing import Placer, pipeline_config, tolerations


def make_pipeline(
    images: Mapping[str, str] | None = None,
    *,
    fixed_data: bool = False,
    cluster: ClusterConfig | None = None,
    scheduled: str = "",
) -> Any:
    """The pipeline with the images of a file given to `compile`.

    Args:
        images: step (or `default`) -> image by digest.
        fixed_data: the data is named by a DVC revision, so that ingest may be cached too.
        cluster: what the pods get, and who is told; without it nothing is said of either.
        scheduled: time that the data's window comes from, or Kubeflow's placeholder for it.
    """
    chosen = images or {}
    if cluster is not None:
        return _on_cluster(chosen, fixed_data, cluster, scheduled)

    @dsl.pipeline(name=NAME, description=DESCRIPTION)
    def training(
        ingest: str,
        check_clips: str,
        extract_targets: str,
        check_targets: str,
        train: str,
        evaluate: str,
        register: str,
    ) -> None:
        configs = (ingest, check_clips, extract_targets, check_targets, train, evaluate, register)
        _stages(Placer(chosen), dict(zip(BY_NAME, configs, strict=True)), fixed_data, scheduled)

    return training


def _on_cluster(
    images: Mapping[str, str], fixed_data: bool, cluster: ClusterConfig, scheduled: str
) -> Any:
    """The same, placed; the last step tells how the run ended, whatever became of it."""
    selector, put_up_with = dict(cluster.gpu.node_selector), tolerations(cluster.gpu.tolerations)

    @dsl.pipeline(name=NAME, description=DESCRIPTION, pipeline_config=pipeline_config(cluster))
    def training(
        ingest: str,
        check_clips: str,
        extract_targets: str,
        check_targets: str,
        train: str,
        evaluate: str,
        register: str,
        gpu_node_selector: dict = selector,  # type: ignore[type-arg]
        gpu_tolerations: list = put_up_with,  # type: ignore[type-arg]
    ) -> None:
        configs = (ingest, check_clips, extract_targets, check_targets, train, evaluate, register)
        stages = dict(zip(BY_NAME, configs, strict=True))
        placed = Placer(images, cluster, gpu_node_selector, gpu_tolerations)
        if cluster.notify is None:
            _stages(placed, stages, fixed_data, scheduled)
            return
        told = placed(
            notify_component(
                config_json=cluster.notify.model_dump_json(),
                stage_json=register,
                pipeline=NAME,
                run_id=dsl.PIPELINE_JOB_ID_PLACEHOLDER,
                run_name=dsl.PIPELINE_JOB_NAME_PLACEHOLDER,
            )
        )
        told.set_caching_options(False)
        with dsl.ExitHandler(told, name="stages"):
            _stages(placed, stages, fixed_data, scheduled)

    return training


def _stages(placed: Placer, configs: Mapping[str, Any], fixed_data: bool, scheduled: str) -> None:
    """The seven tasks, each with its config."""
    # a time would make every run's cache key its own, and fixed data has no window
    time = "" if fixed_data else scheduled
    clips = placed(ingest_component(config_json=configs["ingest"], scheduled=time))
    # what lies behind a path may have changed since; only a revision stays what it is
    clips.set_caching_options(fixed_data)
    of_clips = {"clips": clips.outputs["clips"], "clips_digest": clips.outputs["Output"]}

    clips_checked = placed(
        check_clips_component(
            config_json=configs["check_clips"], suite_digest=suite_digest("check_clips"), **of_clips
        )
    )

    targets = placed(extract_targets_component(config_json=configs["extract_targets"], **of_clips))
    targets.after(clips_checked)
    of_targets = {
        "targets": targets.outputs["targets"],
        "targets_digest": targets.outputs["Output"],
    }

    targets_checked = placed(
        check_targets_component(
            config_json=configs["check_targets"],
            suite_digest=suite_digest("check_targets"),
            **of_clips,
            **of_targets,
        )
    )

    trained = placed(train_component(config_json=configs["train"], **of_clips, **of_targets))
    trained.after(targets_checked)
    of_checkpoint = {
        "checkpoint": trained.outputs["checkpoint"],
        "checkpoint_digest": trained.outputs["Output"],
    }

    evaluated = placed(
        evaluate_component(config_json=configs["evaluate"], **of_clips, **of_checkpoint)
    )

    registered = placed(
        register_component(
            config_json=configs["register"],
            evaluation=evaluated.outputs["evaluation"],
            evaluation_digest=evaluated.outputs["Output"],
            **of_checkpoint,
        )
    )
    # it has effects beyond its output, and the champion may be another one by now
    registered.set_caching_options(False)
