"""The page and MLflow's as people see them: a phone and a desk, by day and by night."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.browser import Browser, browser
from tests.report.mlflow_server import mlflow_server
from tests.workspace import Workspace

pytestmark = pytest.mark.servers

PHONE, DESK = 390, 1280


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("browser")) as opened:
        yield opened


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [PHONE, DESK], ids=["phone", "desk"])
def test_the_page_fits_and_follows_the_mode(
    flown: Workspace, seen: Browser, tmp_path: Path, width: int, dark: bool
) -> None:
    path = flown.root / "artifacts/model_version/report.html"
    seen.open(path.as_uri(), width=width, dark=dark)
    assert seen.value("innerWidth") == width
    assert seen.value("document.documentElement.scrollWidth") <= width
    # whatever is wider than the window scrolls by itself
    wider = seen.value(
        "[...document.querySelectorAll('main *')].filter(e => e.getBoundingClientRect().right >"
        " innerWidth + 1 && !e.closest('.scroll, .shots')).map(e => e.outerHTML.slice(0, 80))"
    )
    assert wider == []
    if width == DESK:  # where there is room, nothing has to be scrolled for
        cut = "[...document.querySelectorAll('.scroll')].filter(e => e.scrollWidth > e.clientWidth)"
        assert seen.value(f"{cut}.map(e => e.ariaLabel)") == []
    # no column is squeezed until its words fall apart
    narrow = "[...document.querySelectorAll('tbody th')].map(e => e.clientWidth)"
    assert min(seen.value(narrow)) >= 100
    assert [url for url in seen.requested() if not url.startswith("data:")] == [path.as_uri()]
    missing = "[...document.images].filter(i => !i.complete || !i.naturalWidth).length"
    assert seen.value(missing) == 0
    shot = pixels(seen.screenshot(tmp_path / "page.png", whole=True))
    assert shot.shape[1] == width and shot.shape[0] > 2000
    edge = shot[:, 1].astype(int)
    assert edge.max() < 48 if dark else edge.min() > 200
    assert len(np.unique(shot.reshape(-1, 3)[::7], axis=0)) > 500


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_every_text_stands_out_from_what_is_behind_it(
    flown: Workspace, seen: Browser, dark: bool
) -> None:
    """WCAG 2.2, 1.4.3: a contrast of at least 4.5 to 1."""
    seen.open((flown.root / "artifacts/model_version/report.html").as_uri(), width=DESK, dark=dark)
    weak = seen.value("""(() => {
      const parse = c => c.match(/[\\d.]+/g).map(Number);
      const light = c => { const [r, g, b] = parse(c).map(v => v / 255)
        .map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
        return .2126 * r + .7152 * g + .0722 * b; };
      const behind = e => { for (; e; e = e.parentElement) { const c = getComputedStyle(e)
        .backgroundColor; if ((parse(c)[3] ?? 1) > 0) return c; } return 'rgb(255,255,255)'; };
      const found = [];
      for (const e of document.querySelectorAll('body *')) {
        const own = [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
        if (!own || e.closest('style')) continue;
        const style = getComputedStyle(e), svg = e instanceof SVGElement;
        const [a, b] = [light(svg ? style.fill : style.color), light(behind(e))];
        const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
        if (ratio < 4.5) found.push([e.outerHTML.slice(0, 60), ratio]);
      }
      return found; })()""")
    assert weak == []


def test_mlflow_shows_the_run(flown: Workspace, seen: Browser, tmp_path: Path) -> None:
    run = flown.manifest("checkpoint")["details"]["mlflow_run_id"]
    with mlflow_server(flown.root / ".geovr", tmp_path) as server:
        seen.open(server.run_page(run), width=DESK, height=1000, dark=False)
        seen.wait_for("document.body.innerText.includes('loss/depth')")
        shot = pixels(seen.screenshot(tmp_path / "mlflow.png"))
    assert shot.shape[:2] == (1000, DESK) and len(np.unique(shot.reshape(-1, 3), axis=0)) > 50
