"""KFP component of the train stage; the work is in geovr/stages/train.py."""

from kfp import dsl

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def train(
    config_json: str,
    clips: dsl.Input[dsl.Dataset],
    clips_digest: str,
    targets: dsl.Input[dsl.Dataset],
    targets_digest: str,
    checkpoint: dsl.Output[dsl.Model],
) -> str:
    """Train, here or through TorchX as the config says."""
    from geovr.launch import run_component

    inputs = {"clips": (clips.path, clips_digest), "targets": (targets.path, targets_digest)}
    checkpoint.metadata.update(run_component("train", config_json, inputs, checkpoint.path))
    return str(checkpoint.metadata["digest"])
