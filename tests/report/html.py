"""A page as a strict reader sees it."""

from __future__ import annotations

import re
from collections import Counter
from html.parser import HTMLParser

VOID = {"meta", "link", "img", "br", "hr", "wbr", "input"}
INLINE = {"a", "b", "code", "i", "span", "wbr", "circle", "line", "path", "rect"}
"""What stands in a line of text; everything else begins one of its own."""
REACHING = {"src", "href", "action", "data", "srcset", "poster", "xlink:href"}
"""Attributes by which a page asks for something."""

HEADS = ("Name", "Kind", "Expectation", "Depth", "Camera and scale")
"""First headings of the tables that follow others."""


class Page(HTMLParser):
    """Elements, texts, and all that is wrong with how they nest."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.faults: list[str] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self.rows: list[list[str]] = []
        self._open: list[str] = []
        self.feed(source)
        self.close()
        self.faults += [f"{name} is never closed" for name in self._open]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        self.faults += [f"{tag} has {n} twice" for n, c in Counter(names).items() if c > 1]
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self._open.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("th", "td"):
            self.rows[-1].append("")
        if tag not in INLINE:
            self._say(" ")
        if tag == "table" and "p" in self._open:
            self.faults.append("a table inside of a paragraph")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self._open.pop()

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open[-1] != tag:
            self.faults.append(f"</{tag}> closes {self._open[-1:]}, line {self.getpos()[0]}")
            return
        self._open.pop()
        if tag not in INLINE:
            self._say(" ")

    def handle_data(self, data: str) -> None:
        if self._open[-1:] != ["style"]:
            self._say(data)

    def _say(self, text: str) -> None:
        self.words.append(text)
        if "th" in self._open or "td" in self._open:
            self.rows[-1][-1] += text

    @property
    def text(self) -> str:
        """What is read, in one line."""
        return line("".join(self.words))

    def table(self, heading: str) -> dict[str, list[str]]:
        """Rows of the table whose first heading this is, by their first cell."""
        rows = [[line(cell) for cell in row] for row in self.rows]
        start = next(n for n, row in enumerate(rows) if row[0] == heading)
        width = len(rows[start])
        found = {}
        for row in rows[start + 1 :]:
            if len(row) != width or row[0] in HEADS:
                break
            found[row[0]] = row[1:]
        return found

    def of(self, *tags: str) -> list[dict[str, str]]:
        """Attributes of the elements of these names."""
        return [attributes for tag, attributes in self.elements if tag in tags]

    def ids(self) -> Counter[str]:
        """How often each id is given."""
        return Counter(a["id"] for _, a in self.elements if "id" in a)

    def reached(self) -> list[str]:
        """All that the page asks for, or leads to."""
        return [v for _, a in self.elements for name, v in a.items() if name in REACHING]


def line(text: str) -> str:
    """A text with single spaces."""
    return re.sub(r"\s+", " ", text).strip()
