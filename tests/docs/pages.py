"""The pages of the documentation, taken apart: headings, tables, links, code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
NOT_PAGES = frozenset({"node_modules", "build", "dist", "data"})

_FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def pages() -> list[Path]:
    """Every Markdown file of the project, but those of other people's packages."""
    found = ROOT.rglob("*.md")
    return sorted(path for path in found if not any(_is_foreign(part) for part in path.relative_to(ROOT).parts))


def _is_foreign(part: str) -> bool:
    return part.startswith(".") or part in NOT_PAGES


def read(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def blocks(text: str, language: str) -> Iterator[str]:
    """The code of each fenced block with that info string."""
    return (match[2] for match in _FENCE.finditer(text) if match[1].strip() == language)


def prose(text: str) -> str:
    """The text without its fenced blocks."""
    return _FENCE.sub("", text)


def links(text: str) -> list[str]:
    return _LINK.findall(_SPAN.sub("", prose(text)))


def spans(text: str) -> list[str]:
    return _SPAN.findall(prose(text))


def anchors(text: str) -> set[str]:
    """The anchors that GitHub gives the headings of a page."""
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in _HEADING.findall(prose(text))}


def table(text: str, first: str, second: str) -> list[list[str]]:
    """The rows of every table whose header begins with these two cells; code marks are taken off the cells."""
    rows: list[list[str]] = []
    inside = False
    for line in text.splitlines():
        cells = [cell.strip().strip("`") for cell in line.strip().strip("|").split("|")]
        if not line.startswith("|"):
            inside = False
        elif cells[:2] == [first, second]:
            inside = True
        elif inside and not set(line) <= set("|-: "):
            rows.append(cells)
    return rows


def section(text: str, heading: str) -> str:
    """What stands between a heading of the second level and the next one."""
    _, found, rest = text.partition(f"\n## {heading}\n")
    assert found, f"there is no section {heading}"
    return rest.partition("\n## ")[0]
