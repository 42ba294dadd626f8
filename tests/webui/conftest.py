"""A browser for all tests of the page, and the real system on its embedded profile."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from webui.systems import built_page, serving
from webui.tab import launch


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        made = launch(playwright)
        yield made
        made.close()


@pytest.fixture(scope="session")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of `mmedagent serve` with the models that it ships."""
    with serving(tmp_path_factory.mktemp("embedded")) as url:
        yield url


@pytest.fixture(scope="session")
def page_folder() -> Path:
    """The built page, for systems that a test composes itself."""
    return built_page()
