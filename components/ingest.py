"""KFP component of the ingest stage; the work is in geovr/stages/ingest.py."""

from kfp import dsl

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def ingest(
    config_json: str,
    clips: dsl.Output[dsl.Dataset],
    scheduled: str = "",
) -> str:
    """Sample videos to clips; gives the ClipSet's digest."""
    from geovr.launch import run_component

    inputs: dict = {}
    clips.metadata.update(run_component("ingest", config_json, inputs, clips.path, scheduled))
    return str(clips.metadata["digest"])
