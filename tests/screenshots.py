"""Pictures for the README, of a run that exists: `python -m tests.screenshots RUN [--output DIR]`.

RUN is what `geovr report` takes, in the run's work directory: its clips, ground truth and MLflow
database are there.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from pathlib import Path

from PIL import Image

from geovr.home import home
from geovr.report.make import open_root
from tests.browser import Browser, browser
from tests.report.mlflow_server import Server, mlflow_server
from tests.workspace import BIN, REPOSITORY

MOST_BYTES = 300_000
TRAINING = """[...document.querySelectorAll('*')].find(
  e => !e.children.length && e.textContent.trim() === 'Model training')"""


def main() -> None:
    """Take all pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run")
    parser.add_argument("--output", type=Path, default=REPOSITORY / "docs/images")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch, browser(Path(scratch)) as seen:
        page = Path(scratch) / "report.html"
        command = [str(BIN / "geovr"), "report", options.run, "--output", str(page)]
        subprocess.run(command, check=True)
        details = open_root(options.run, Path(scratch) / "root").manifest.details
        _report(seen, page, options.output)
        run = details.get("mlflow_run_id") or _run_of(page)
        with mlflow_server(home(), Path(scratch)) as server:
            _mlflow(seen, server, run, options.output)
            if "version" in details:
                _versions(seen, server, details["name"], options.output)


def _run_of(page: Path) -> str:
    """The MLflow run that the page names."""
    return page.read_text().partition("<dt>MLflow run</dt><dd><code>")[2].partition("<")[0]


def _report(seen: Browser, page: Path, output: Path) -> None:
    """The desk sees scores, geometry and failures by day, the phone the beginning by night."""
    for name, anchor, height in (
        ("desk", "scores", 1660), ("geometry", "geometry", 1180), ("failures", "worst-clips", 1080)
    ):  # fmt: skip
        seen.open(f"{page.as_uri()}#{anchor}", width=1280, height=height, dark=False)
        _keep(seen, output / f"report-{name}.png")
    seen.open(page.as_uri(), width=390, height=1140, dark=True, scale=1.5)
    _keep(seen, output / "report-phone.png")


def _mlflow(seen: Browser, server: Server, run: str, output: Path) -> None:
    """The loss terms of the run, without what MLflow offers besides."""
    seen.open(server.url, width=1280, height=860, dark=False)
    seen.wait_for(f"{TRAINING} !== undefined")
    seen.value("localStorage.setItem('mlflow.assistant.panelOpen_v1', 'false')")
    seen.value(f"{TRAINING}.click()")
    seen.rest(1)
    seen.open(f"{server.run_page(run)}/model-metrics", width=1280, height=860, dark=False)
    field = "input[placeholder='Search metric charts']"
    seen.wait_for(f'document.querySelector("{field}")', 120)
    seen.write(field, "loss")
    seen.wait_for("document.querySelectorAll('.js-plotly-plot').length >= 5", 120)
    # what shows over a chart as long as a mouse is there
    seen.value("document.head.append(Object.assign(document.createElement('style'),"
               " {textContent: '.modebar { display: none !important }'}))")  # fmt: skip
    seen.rest(5)
    _keep(seen, output / "mlflow.png")


def _versions(seen: Browser, server: Server, model: str, output: Path) -> None:
    """The registered model: its versions with their aliases, and their tags."""
    seen.open(f"{server.url}/#/models/{model}", width=1500, height=1500, dark=False)
    seen.wait_for("document.body.innerText.includes('champion')", 120)
    # what MLflow offers besides, and the model's own tags above the versions, are folded away
    seen.value("document.querySelector('[aria-label*=Close i]')?.click()")
    seen.value("""[...document.querySelectorAll('[role=button], button')].find(
      e => e.innerText.trim() === 'Tags')?.click()""")
    # nor does a picture tell where on somebody's disk a store lies
    seen.value("""[...document.querySelectorAll('td *, [role=cell] *')].filter(
      e => e.innerText?.startsWith('geovr.store')).forEach(e => e.style.display = 'none')""")
    seen.rest(3)
    _keep(seen, output / "mlflow-versions.png")


def _keep(seen: Browser, path: Path) -> None:
    """A screenshot, in fewer colours where it would be too large."""
    seen.screenshot(path)
    with Image.open(path) as image:
        image.convert("RGB").save(path, optimize=True)
        if path.stat().st_size > MOST_BYTES:
            few = image.convert("RGB").quantize(256, Image.Quantize.MAXCOVERAGE, kmeans=2)
            few.save(path, optimize=True)
    size = path.stat().st_size
    print(f"{path}: {size / 1000:.0f} kB")
    if size > MOST_BYTES:
        raise SystemExit(f"{path}: more than {MOST_BYTES / 1000:.0f} kB")


if __name__ == "__main__":
    main()
