"""KFP component of the check_targets stage; the work is in geovr/stages/check_targets.py."""

from kfp import dsl

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def check_targets(
    config_json: str,
    clips: dsl.Input[dsl.Dataset],
    clips_digest: str,
    targets: dsl.Input[dsl.Dataset],
    targets_digest: str,
    suite_digest: str,
    targets_report: dsl.Output[dsl.Artifact],
) -> str:
    """Gate on targets; raises when it refuses."""
    from geovr.launch import run_component

    inputs = {"clips": (clips.path, clips_digest), "targets": (targets.path, targets_digest)}
    targets_report.metadata.update(
        run_component("check_targets", config_json, inputs, targets_report.path)
    )
    return str(targets_report.metadata["digest"])
