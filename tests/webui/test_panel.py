"""A consultation on the page: triage, every opinion, who did not answer, and whom the attending physician overruled."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Browser, FilePayload, expect

from support.chat_endpoint import Reply, said
from support.clinic import SENTENCE, running_clinic
from support.doctors import because
from support.images import png_bytes
from webui.tab import ask, tab


def test_the_panel_is_seen_at_work(tmp_path: Path, page_folder: Path, browser: Browser) -> None:
    with running_clinic(tmp_path, page_dir=page_folder) as clinic:
        replies = [
            said(*because("melanoma", "The border is ragged.")),
            said(*because("A", "It is round.")),
            Reply([b""], 500),
        ]
        for seat, reply in zip(clinic.seats, replies, strict=True):
            seat.replies.append(reply)
        with tab(browser, clinic.system.url) as made:
            page = made.page
            picture: FilePayload = {"name": "skin.png", "mimeType": "image/png", "buffer": png_bytes()}
            page.get_by_label("Image files").set_input_files(picture)
            expect(page.locator("canvas.pixels")).to_be_visible()
            ask(page, SENTENCE)
            panel = page.locator(".panel")
            expect(panel).to_contain_text("Sent to: dermatologist")
            overruled = panel.get_by_role("listitem").filter(has_text="dermatologist 2")
            expect(overruled).to_contain_text("Overruled")
            expect(panel.get_by_role("listitem").filter(has_text="dermatologist 1")).to_contain_text("Agrees")
            expect(panel).to_contain_text("dermatologist 3 gave no answer")
            expect(panel).to_contain_text("The border is irregular, so I overrule dermatologist 2.")
            overruled.get_by_text("Reasons").click()
            expect(overruled).to_contain_text("It is round.")
