"""Texts to measure with: documents of the size and vocabulary of real ones, put together from given sentences."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

SECTIONS = ("Overview", "Causes", "Symptoms", "Diagnosis", "Treatment", "Prevention", "Prognosis", "Follow-up")
SENTENCES = 5
"""Of a section: with those of the handbook about 70 words, so that a section is one passage."""


def write_documents(folder: Path, sentences: Sequence[str], passages: int, seed: int = 0) -> int:
    """Write Markdown files of eight sections each into a folder, at least as many sections as `passages`.

    Returns the number of words. The same arguments give the same files.
    """
    random = np.random.default_rng(seed)
    words = 0
    for number in range(-(-passages // len(SECTIONS))):
        lines = [f"# Topic {number:05d}", ""]
        for section in SECTIONS:
            chosen = random.choice(len(sentences), SENTENCES, replace=False)
            text = " ".join(sentences[index] for index in chosen)
            lines += [f"## {section}", "", text, ""]
            words += len(text.split())
        (folder / f"topic-{number:05d}.md").write_text("\n".join(lines), "utf-8")
    return words


def questions_about(sentences: Sequence[str], number: int, seed: int = 1) -> list[str]:
    """Questions made of six to twelve words that follow each other in one of the sentences."""
    random = np.random.default_rng(seed)
    made = []
    for index in random.choice(len(sentences), number):
        words = sentences[index].rstrip(".").split()
        length = int(random.integers(6, 13))
        start = int(random.integers(0, max(1, len(words) - length + 1)))
        made.append(" ".join(words[start : start + length]) + "?")
    return made
