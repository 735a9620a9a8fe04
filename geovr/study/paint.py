"""What a study's charts are painted with: on the page by its style, in a file by attributes.

Charts are drawn with classes, whose colours the page's style has for light and dark. `standalone`
makes a file of one, with colours as attributes: a README shows it as a picture, which no style
sheet reaches.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from markupsafe import Markup

from geovr.study.summary import Summary

COLOURS = (
    ("#565c66", "#a4abb5"), ("#1d5fae", "#7db2f0"), ("#b2500a", "#f2a562"),
    ("#1a7340", "#78cb97"), ("#7a3b9c", "#cf9bea"), ("#b3261e", "#ff938a"),
    ("#0b7285", "#6fcbdc"), ("#7d6100", "#e3c15a"),
)  # fmt: skip
"""Of the arms, light and dark; the reference has the first, more arms begin again, dashed."""
_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif"
_FIXED = {
    "grid": 'stroke="#dcdee2" stroke-width="1"',
    "zero": 'stroke="#565c66" stroke-width="1"',
    "back": 'fill="#ffffff"',
    "title": 'fill="#1b1d21" font-weight="600"',
    "curve": 'fill="none" stroke-width="2" stroke-linejoin="round"',
    "band": 'fill-opacity="0.16" stroke="none"',
    "whisk": 'fill="none" stroke-width="1.6"',
    "dashed": 'stroke-dasharray="5 3"',
}


@dataclass(frozen=True)
class Drawing:
    """What stands inside of an SVG element.

    Attributes:
        body: elements.
        width, height: in units of the drawing.
        label: what is seen, for those who can't see it.
    """

    body: Markup
    width: int
    height: int
    label: str


def arm_classes(summary: Summary) -> dict[str, str]:
    """Classes of each arm's marks."""
    others = [arm.name for arm in summary.arms if arm.name != summary.reference]
    found = {summary.reference: "arm0"}
    for place, name in enumerate(others):
        turn, colour = divmod(place, len(COLOURS) - 1)
        found[name] = f"arm{colour + 1}" + (" dashed" if turn % 2 else "")
    return found


def style() -> str:
    """Rules of the page for what is drawn here."""
    rules = [
        ".curve, .whisk { fill: none; stroke-width: 2; stroke-linejoin: round; }",
        ".whisk { stroke-width: 1.6; } .band { fill-opacity: .16; }",
        ".dashed { stroke-dasharray: 5 3; }",
        "svg .title { fill: var(--text); font-weight: 600; }",
    ]
    for place in range(len(COLOURS)):
        rules.append(
            f".curve.arm{place}, .whisk.arm{place} {{ stroke: var(--arm{place}); }}"
            f" .band.arm{place}, .dot.arm{place} {{ fill: var(--arm{place}); }}"
        )
    light, dark = (
        " ".join(f"--arm{place}: {pair[side]};" for place, pair in enumerate(COLOURS))
        for side in (0, 1)
    )
    rules.append(f":root {{ {light} }}")
    rules.append(f"@media (prefers-color-scheme: dark) {{ :root {{ {dark} }} }}")
    return "\n".join(rules)


def wrapped(drawing: Drawing, name: str) -> Markup:
    """A drawing for the page, of a class."""
    return Markup('<svg class="{}" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        name, drawing.width, drawing.height, drawing.label, drawing.body
    )


def standalone(drawing: Drawing) -> bytes:
    """A drawing as a file of its own, on white, with its colours inside."""

    def fixed(match: re.Match[str]) -> str:
        return " ".join(_attributes(match[1].split()))

    inside = re.sub(r'class="([^"]*)"', fixed, str(drawing.body))
    opened = Markup(
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {w} {h}" width="{w}" height="{h}"'
        ' role="img" aria-label="{}" font-family="{}" font-size="11.5" fill="#565c66">'
        '<rect width="100%" height="100%" rx="8" fill="#ffffff"/>'
    ).format(drawing.label, _FONT, w=drawing.width, h=drawing.height)
    return f"{opened}{inside}</svg>\n".encode()


def _attributes(names: list[str]) -> list[str]:
    """What a mark's classes mean, as attributes."""
    found = [_FIXED[name] for name in names if name in _FIXED]
    for name in names:
        if match := re.fullmatch(r"arm(\d+)", name):
            paint = "fill" if {"band", "dot"} & set(names) else "stroke"
            found.append(f'{paint}="{COLOURS[int(match[1])][0]}"')
    return found
