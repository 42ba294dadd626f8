"""Texts of a user for the tests, and how they become a corpus."""

from __future__ import annotations

import json
from pathlib import Path

from mmedagent.tool_workers.retrieval.collection import Collection
from mmedagent.tool_workers.retrieval.engine import PassageSearch
from mmedagent.tool_workers.retrieval.indexing import Report, add_files, find_files
from support.pdf import pdf

ZEBRA = "# Zebra fever\n\nZebra fever is a striped disease of horses.\n\n## Treatment\n\nRest and stripomycin help.\n"
QUESTION = "How is zebra fever treated?"


def write_texts(folder: Path) -> None:
    """Four files that can be read, one of each kind, and two that are none of these."""
    (folder / "more").mkdir(parents=True)
    (folder / "zebra.md").write_text(ZEBRA)
    (folder / "more" / "stripes.html").write_text("<h1>Stripe rash</h1><p>A rash in black and white.</p>")
    guide = pdf([["Mane loss is loss of hair."], ["Brush it twice a day."]], title="Mane loss")
    (folder / "guide.pdf").write_bytes(guide)
    row = {"id": "1", "title": "A trial of stripomycin", "text": "Stripomycin shortened it.", "source": "PMID 1"}
    (folder / "trials.jsonl").write_text(json.dumps(row))
    (folder / "notes.docx").write_text("not read")
    (folder / ".hidden.md").write_text("not read")


def add(collection: Collection, target: Path, prune: bool = False) -> Report:
    return add_files(collection, target, find_files(target), prune=prune)


def titles(search: PassageSearch, question: str = QUESTION) -> list[str]:
    return [hit.title for hit in search.search(question)]
