"""KFP component of the evaluate stage; the work is in geovr/stages/evaluate.py."""

from kfp import dsl

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def evaluate(
    config_json: str,
    clips: dsl.Input[dsl.Dataset],
    clips_digest: str,
    checkpoint: dsl.Input[dsl.Model],
    checkpoint_digest: str,
    evaluation: dsl.Output[dsl.Artifact],
) -> str:
    """Answer and score the test questions."""
    from geovr.launch import run_component

    inputs = {
        "clips": (clips.path, clips_digest),
        "checkpoint": (checkpoint.path, checkpoint_digest),
    }
    evaluation.metadata.update(run_component("evaluate", config_json, inputs, evaluation.path))
    return str(evaluation.metadata["digest"])
