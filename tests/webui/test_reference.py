"""The reference of the API in a real browser: it shows the routes, and fetches nothing from elsewhere."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Browser, expect

from support.system import running_controller
from webui.tab import tab


def test_the_reference_needs_no_other_server(tmp_path: Path, browser: Browser) -> None:
    with running_controller(tmp_path) as system, tab(browser, f"{system.url}/docs") as made:
        expect(made.page.get_by_text("/v1/responses", exact=True).first).to_be_visible()
        assert system.http.get("/redoc").status_code == 404
