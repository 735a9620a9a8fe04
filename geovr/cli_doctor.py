"""`geovr doctor`: what works here, and what to do about what doesn't."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from geovr import cli_json
from geovr.cli_options import ParamsOption, SetOption


def doctor(
    params: ParamsOption = Path("params.yaml"),
    overrides: SetOption = None,
    limit: Annotated[float, typer.Option(help="Seconds that one check may take.")] = 20.0,
    as_json: cli_json.JsonOption = False,
) -> None:
    """Try what a run needs here: decoder, renderer, GPU, store, MLflow, Docker, disk, and more.

    Exits 2 when something fails that the params file asks for.
    """
    cli_json.start(as_json)
    from geovr.doctor.examine import examine, render

    with cli_json.quiet_stdout(as_json):
        findings = examine(params, overrides or [], limit)
    failed = any(finding.required and finding.state != "ok" for finding in findings)
    code = 2 if failed else 0
    if as_json:
        checks = [finding.model_dump() for finding in findings]
        cli_json.tell(
            {"status": "failed" if failed else "done", "exit_code": code, "checks": checks}
        )
    else:
        typer.echo(render(findings), nl=False)
    raise typer.Exit(code)
