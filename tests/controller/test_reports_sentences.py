"""Where sentences begin and end."""

from __future__ import annotations

import pytest

from mmedagent.controller.reports.sentences import sentences_of


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("", []),
        ("***\n---\n", []),
        ("One", ["One"]),
        ("One. Two! Three?", ["One.", "Two!", "Three?"]),
        ("It is 12.5 mm wide. 3 more.", ["It is 12.5 mm wide.", "3 more."]),
        ("Seen. [1] Also seen. [2][3]", ["Seen. [1]", "Also seen. [2][3]"]),
        ('He said "no." Then he left.', ['He said "no."', "Then he left."]),
        ("As in Fig. 2, e.g. here, approx. Two cm.", ["As in Fig. 2, e.g. here, approx. Two cm."]),
        ("No. It is not.", ["No.", "It is not."]),
        ("- The liver.\n- The spleen\n\n1. First. 2. Second.", ["The liver.", "The spleen", "1. First.", "2. Second."]),
        ("## Findings\n**Clear.** Done.", ["Findings", "**Clear.**", "Done."]),
        ("It ends ... somewhere. Yes.", ["It ends ... somewhere.", "Yes."]),
    ],
)
def test_sentences(text: str, sentences: list[str]) -> None:
    spans = sentences_of(text)
    assert [span.text for span in spans] == sentences
    assert [text[span.start : span.end] for span in spans] == sentences


def test_paragraphs_are_counted() -> None:
    assert [span.paragraph for span in sentences_of("One. Two.\nThree.\n\nFour.")] == [0, 0, 0, 1]
