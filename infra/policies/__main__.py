"""`python -m infra.policies check | rules`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from geovr.cli import outcome
from geovr.errors import GateRefused, UserError
from infra.policies import RULES
from infra.policies import check as check_manifests
from infra.policies.manifests import read, read_file

app = typer.Typer(
    help="Rules for what a cluster gets.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.command()
def check(
    files: Annotated[
        list[Path] | None,
        typer.Argument(help="Rendered manifests, compiled pipelines; - is stdin."),
    ] = None,
    kustomize: Annotated[
        list[Path] | None, typer.Option(help="A directory that kustomize renders; may be repeated.")
    ] = None,
    allow_placeholders: Annotated[
        bool, typer.Option("--allow-placeholders", help="Digests of zeros are no finding.")
    ] = False,
    fixed_data: Annotated[
        bool, typer.Option("--fixed-data", help="A DVC revision fixes the data; ingest may cache.")
    ] = False,
) -> None:
    """Hold manifests to all rules; exits with 3 when one is broken."""
    from infra.kubernetes.kubectl import render

    if not files and not kustomize:
        raise UserError("check what? give files, - for stdin, or --kustomize DIRECTORY")
    sets = {str(path): read(render(path), str(path)) for path in kustomize or []}
    given = [
        manifest
        for path in files or []
        for manifest in (
            read(sys.stdin.read(), "stdin") if str(path) == "-" else read_file(path)
        )
    ]  # fmt: skip
    if given:
        sets["files"] = given
    without = [
        name
        for name, left_out in (
            ("image-placeholder", allow_placeholders), ("pipeline-data", fixed_data)
        )
        if left_out
    ]  # fmt: skip
    findings = [one for manifests in sets.values() for one in check_manifests(manifests, without)]
    for one in findings:
        typer.echo(
            f"{one.rule:<20} {one.source}: {one.resource}\n{'':<20} {one.where}: {one.message}"
        )
    count = sum(len(manifests) for manifests in sets.values())
    if findings:
        raise GateRefused(f"{len(findings)} findings in {count} manifests")
    typer.echo(f"{count} manifests, {len(RULES) - len(without)} rules, no finding")


@app.command()
def rules() -> None:
    """List the rules."""
    for one in RULES.values():
        typer.echo(f"{one.name:<20} {one.says}")


if __name__ == "__main__":
    sys.exit(outcome(app))
