"""No text that a user, a file, a tool or a passage brings in runs as a script on the page."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pydicom
import pytest
from playwright.sync_api import Browser, expect

from support.images import CT_FILE, png_bytes
from support.system import System, running_controller
from webui.mirrors import MirrorPlanner, mirrors
from webui.tab import tab

CORPUS: list[str] = json.loads((Path(__file__).parent / "xss_corpus.json").read_text("utf-8"))
PARTS = 12
WEB = {"http", "https"}
TAGS = ("PatientName", "PatientID", "StudyDescription", "SeriesDescription", "ImageComments", "BodyPartExamined")


@pytest.fixture(scope="module")
def mirror(tmp_path_factory: pytest.TempPathFactory, page_folder: Path) -> Iterator[System]:
    """A system whose planner and tools say what the user says."""
    folder = tmp_path_factory.mktemp("mirror")
    with running_controller(folder, page_dir=page_folder) as system:
        system.add_planner(MirrorPlanner())
        system.add_tools(mirrors())
        system.wait_until_ready()
        yield system


def hostile_dicom(text: str) -> bytes:
    """A CT slice with the text in the tags that hold words."""
    dataset = pydicom.dcmread(CT_FILE)
    with pydicom.config.disable_value_validation():
        for tag in TAGS:
            setattr(dataset, tag, text.replace("\\", ""))
    buffer = io.BytesIO()
    dataset.save_as(buffer)
    return buffer.getvalue()


def untouched(page: Any) -> bool:
    """Whether nothing of the corpus has run: each of its strings would leave a mark."""
    return bool(page.evaluate("typeof window.hacked === 'undefined' || window.hacked instanceof Element"))


def test_the_corpus_is_large() -> None:
    assert len(set(CORPUS)) >= 200


@pytest.mark.parametrize("part", range(PARTS))
def test_no_text_of_a_conversation_runs(mirror: System, browser: Browser, part: int) -> None:
    strings = CORPUS[part::PARTS]
    conversation = mirror.http.post("/v1/conversations", json={}).json()["id"]
    for text in strings:
        mirror.outputs(text, conversation=conversation)
    with tab(browser, f"{mirror.url}/#{conversation}") as made:
        page = made.page
        expect(page.locator("section.call").first).to_be_visible()
        assert page.locator("section.call").count() >= 4 * len(strings)
        for details in page.locator("details").all():
            details.evaluate("(element) => { element.open = true; }")
        for quoted in page.locator(".passage cite button").all():
            quoted.click()
            expect(page.locator(".source-text")).not_to_contain_text("Loading")
            page.keyboard.press("Escape")
        assert {urlsplit(str(link.get_attribute("href"))).scheme for link in page.locator(".passage a").all()} <= WEB
        page.wait_for_timeout(500)
        assert untouched(page)


@pytest.mark.parametrize("text", CORPUS[::23])
def test_no_file_name_and_no_dicom_tag_runs(mirror: System, browser: Browser, text: str) -> None:
    with tab(browser, mirror.url) as made:
        page = made.page
        chooser = page.locator('input[type="file"]').first
        chooser.set_input_files({"name": f"{text}.dcm", "mimeType": "application/dicom", "buffer": hostile_dicom(text)})
        expect(page.get_by_role("complementary").or_(page.locator(".viewer")).first).to_be_visible()
        chooser.set_input_files({"name": f"{text}.png", "mimeType": "image/png", "buffer": png_bytes()})
        chooser.set_input_files({"name": text, "mimeType": "text/plain", "buffer": text.encode()})
        page.wait_for_timeout(200)
        assert untouched(page)
