"""KFP component of the extract_targets stage; the work is in geovr/stages/extract_targets.py."""

from kfp import dsl

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def extract_targets(
    config_json: str,
    clips: dsl.Input[dsl.Dataset],
    clips_digest: str,
    targets: dsl.Output[dsl.Dataset],
) -> str:
    """Ask the teacher about every clip."""
    from geovr.launch import run_component

    inputs = {"clips": (clips.path, clips_digest)}
    targets.metadata.update(run_component("extract_targets", config_json, inputs, targets.path))
    return str(targets.metadata["digest"])
