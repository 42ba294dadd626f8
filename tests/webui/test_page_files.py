"""The page's files: pinned, free of hosts, and nothing in them that the content security policy would refuse."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "webui"
EXACT = re.compile(r"(npm:[a-z-]+@)?\d+\.\d+\.\d+")
SOURCES = sorted(
    path
    for path in [PAGE / "index.html", *(PAGE / "src").rglob("*")]
    if path.suffix in {".html", ".ts", ".tsx", ".css"} and not path.name.endswith(".test.ts")
)


def test_dependencies_are_pinned_exactly() -> None:
    package = json.loads((PAGE / "package.json").read_text("utf-8"))
    for versions in (package["dependencies"], package["devDependencies"]):
        for name, version in versions.items():
            assert EXACT.fullmatch(version), f"{name} is not pinned: {version}"


def test_the_lock_file_names_no_registry() -> None:
    lock = json.loads((PAGE / "package-lock.json").read_text("utf-8"))
    packages = {name: entry for name, entry in lock["packages"].items() if name}
    assert packages
    for name, entry in packages.items():
        assert "resolved" not in entry, name
        assert entry["integrity"].startswith("sha512-"), name


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PAGE)))
def test_the_page_names_no_other_host(path: Path) -> None:
    assert not re.search(r"https?://", path.read_text("utf-8"))


def test_the_page_has_no_inline_script_or_style() -> None:
    page = (PAGE / "index.html").read_text("utf-8")
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|<script(?![^>]*\ssrc=)", page)
