"""KFP component of the check_clips stage; the work is in geovr/stages/check_clips.py."""

from kfp import dsl

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def check_clips(
    config_json: str,
    clips: dsl.Input[dsl.Dataset],
    clips_digest: str,
    suite_digest: str,
    clips_report: dsl.Output[dsl.Artifact],
) -> str:
    """Gate on clips; raises when it refuses."""
    from geovr.launch import run_component

    inputs = {"clips": (clips.path, clips_digest)}
    clips_report.metadata.update(
        run_component("check_clips", config_json, inputs, clips_report.path)
    )
    return str(clips_report.metadata["digest"])
