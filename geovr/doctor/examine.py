"""Runs the checks: each for itself, with a time limit."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

from geovr.config import apply_overrides, read_params
from geovr.doctor import machine, media, services
from geovr.doctor.finding import Check, Finding, Needs, Trouble
from geovr.errors import UserError


def checks(needs: Needs) -> list[tuple[str, Check, bool]]:
    """Name, check, and whether this configuration can't do without."""
    return [
        ("Python", machine.python, True),
        ("packages", machine.packages, True),
        ("cores and memory", machine.cores_and_memory, True),
        ("disk space", machine.disk, True),
        ("writing", machine.writing, True),
        ("GPU", machine.gpu, False),
        ("process groups", machine.processes, True),
        ("video", media.video, True),
        ("renderer", media.renderer, False),
        ("base model", media.base_model, bool(needs.base_model)),
        ("proxies", services.proxies, False),
        ("S3 credentials", services.s3_credentials, needs.s3),
        ("store", services.store, True),
        ("MLflow", services.mlflow, True),
        ("DVC", services.dvc, needs.dvc),
        ("Docker", services.docker, "local_docker" in needs.schedulers),
        ("Kubernetes", services.kubernetes, "kubernetes" in needs.schedulers),
    ]


def examine(params: Path, overrides: Sequence[str], limit_s: float) -> list[Finding]:
    """Run all checks on what a params file asks for.

    Args:
        params: params file or recipe; when the default one is not there, defaults count.
        overrides: section.key=value.
        limit_s: seconds that one check may take.

    Raises:
        UserError: when the params file can't be read.
    """
    from geovr.planning.recipes import find_recipe

    values = {}
    if params.exists() or params != Path("params.yaml"):
        values = read_params(find_recipe(str(params)))
    needs = Needs.of(apply_overrides(values, list(overrides)))
    return [run(name, check, needs, required, limit_s) for name, check, required in checks(needs)]


def run(name: str, check: Check, needs: Needs, required: bool, limit_s: float) -> Finding:
    """One check; whatever it raises is a finding, and so is that it doesn't end."""
    found: list[Finding] = []

    def work() -> None:
        try:
            found.append(Finding(name=name, state="ok", told=check(needs), required=required))
        except Trouble as error:
            found.append(_trouble(name, str(error), error.remedy, required, error.state))
        except UserError as error:
            found.append(_trouble(name, str(error), "correct the params file", required))
        except Exception as error:
            told = f"{type(error).__name__}: {error}".split("\n", 1)[0]
            found.append(
                _trouble(name, told, "this check itself failed; see the message", required)
            )

    # a thread that hangs is left behind: it must not keep the other checks or the end waiting
    thread = threading.Thread(target=work, name=f"doctor {name}", daemon=True)
    thread.start()
    thread.join(limit_s)
    if found:
        return found[0]
    told = f"no answer within {limit_s:g} s"
    return _trouble(name, told, "see whether its server hangs, or raise --limit", required)


def _trouble(name: str, told: str, remedy: str, required: bool, state: str = "failed") -> Finding:
    values = {"name": name, "state": state, "told": told, "remedy": remedy, "required": required}
    return Finding.model_validate(values)


def render(findings: Sequence[Finding]) -> str:
    """The findings as lines for a terminal."""
    width = max(len(finding.name) for finding in findings)
    lines = []
    for finding in findings:
        lines.append(f"{finding.state:7}  {finding.name:{width}}  {finding.told}")
        if finding.state != "ok":
            need = "needed: " if finding.required else ""
            lines.append(f"{'':7}  {'':{width}}  -> {need}{finding.remedy}")
    bad = [finding for finding in findings if finding.required and finding.state != "ok"]
    lines.append("")
    lines.append(
        f"{len(bad)} of what these parameters need don't work: {', '.join(f.name for f in bad)}"
        if bad
        else "All that these parameters need works here."
    )
    return "\n".join(lines) + "\n"
