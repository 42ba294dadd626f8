"""The text that a passage is quoted from, so that a person can read it where it stands."""

from itertools import groupby

from mmedagent.tool_workers.retrieval.collection import Collection
from mmedagent.tool_workers.retrieval.schema import PASSAGE

AROUND = 60
"""Passages before and after the quoted one. A page of a handbook has fewer; of a book it is the part around it."""


def text_around(collection: Collection, number: int) -> str:
    """Title, headings and passages of the document that the passage with this number belongs to, as plain text."""
    rows = collection.rows(
        """SELECT title, texts.section, body FROM texts JOIN words ON words.rowid = texts.id
        JOIN documents ON documents.id = document
        WHERE document = (SELECT document FROM texts WHERE id = ?) AND kind = ? AND texts.id BETWEEN ? AND ?
        ORDER BY texts.id""",
        number,
        PASSAGE,
        number - AROUND,
        number + AROUND,
    )
    parts = [title for title, *_ in rows[:1]]
    for section, passages in groupby(rows, key=lambda row: row[1]):
        parts.append("\n".join([section] * bool(section) + [text for *_, text in passages]))
    return "\n\n".join(parts)
