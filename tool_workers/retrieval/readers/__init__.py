"""Files of several kinds as documents. Everything here runs on untrusted bytes, in the child process of `process`."""

from dataclasses import dataclass

from mmedagent.protocol.errors import TooLargeError
from mmedagent.tool_workers.retrieval.passages import Document
from mmedagent.tool_workers.retrieval.readers.html import read_html
from mmedagent.tool_workers.retrieval.readers.jsonl import read_jsonl
from mmedagent.tool_workers.retrieval.readers.markdown import read_markdown
from mmedagent.tool_workers.retrieval.readers.outline import MAX_PASSAGES
from mmedagent.tool_workers.retrieval.readers.pdf import read_pdf

_DOCUMENTS = {
    ".md": read_markdown,
    ".markdown": read_markdown,
    ".html": read_html,
    ".htm": read_html,
    ".xhtml": read_html,
    ".pdf": read_pdf,
}
_ROWS = frozenset((".jsonl", ".ndjson"))
SUFFIXES = frozenset(_DOCUMENTS) | _ROWS


@dataclass(frozen=True)
class Reading:
    """What a file holds, and what of it could not be read."""

    documents: tuple[Document, ...]
    notes: tuple[str, ...] = ()


def read_content(content: bytes, suffix: str, place: str, stem: str) -> Reading:
    """The documents of a file with one of `SUFFIXES`.

    Args:
        content: all its bytes.
        suffix: its ending in lower case, with the point.
        place: its name as it is shown to people.
        stem: its name without folders and ending, the title of a text that has none.

    Raises:
        InvalidRequestError: it is damaged, encrypted, or not what its name says.
        TooLargeError: it has too many pages or passages.
    """
    if suffix in _ROWS:
        documents, notes = read_jsonl(content, place)
    else:
        documents, notes = _DOCUMENTS[suffix](content, place, stem), []
    if sum(len(document.passages) for document in documents) > MAX_PASSAGES:
        raise TooLargeError(f"It has more than {MAX_PASSAGES:,} passages.")
    return Reading(tuple(documents), tuple(notes))
