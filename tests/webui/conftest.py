"""A browser for all tests of the page, and the real system on its embedded profile."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from system.launch import LOOPBACK, client, free_port, launched, wait_until_ready
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
    folder, port = tmp_path_factory.mktemp("embedded"), free_port()
    url = f"http://{LOOPBACK}:{port}"
    with launched(["serve", "--port", str(port), "--data-dir", "data"], folder) as running, client(url) as http:
        wait_until_ready(http, running)
        yield url


@pytest.fixture(scope="session")
def page_folder() -> Path:
    """The built page, for systems that a test composes itself."""
    folder = Path(__file__).parents[2] / "webui" / "dist"
    assert (folder / "index.html").is_file(), "The page is not built. Build it with: make ui"
    return folder
