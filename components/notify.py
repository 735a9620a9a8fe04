"""KFP component that ends a run on a cluster; the work is in geovr/notify.py."""

from kfp import dsl

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def notify(
    config_json: str,
    stage_json: str,
    pipeline: str,
    run_id: str,
    run_name: str,
    status: dsl.PipelineTaskFinalStatus,
) -> str:
    """Tell a webhook how the run ended; gives what became of it."""
    from geovr.notify import notify

    run = {"pipeline": pipeline, "run_id": run_id, "run_name": run_name}
    return notify(config_json, stage_json, status.state, status.error_message or "", run)
