"""KFP component of the register stage; the work is in geovr/stages/register.py."""

from kfp import dsl

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def register(
    config_json: str,
    checkpoint: dsl.Input[dsl.Model],
    checkpoint_digest: str,
    evaluation: dsl.Input[dsl.Artifact],
    evaluation_digest: str,
    model_version: dsl.Output[dsl.Artifact],
) -> str:
    """Register the version and decide on promotion."""
    from geovr.launch import run_component

    inputs = {
        "checkpoint": (checkpoint.path, checkpoint_digest),
        "evaluation": (evaluation.path, evaluation_digest),
    }
    model_version.metadata.update(
        run_component("register", config_json, inputs, model_version.path)
    )
    return str(model_version.metadata["digest"])
