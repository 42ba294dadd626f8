"""PDF with a text layer. Sections are the entries of its outline; nothing in it is run, fetched or rendered."""

import io
import logging
import re
from collections.abc import Iterator
from typing import Any

from pypdf import PdfReader
from pypdf.errors import DependencyError, PyPdfError

from mmedagent.protocol.errors import InvalidRequestError, TooLargeError
from mmedagent.tool_workers.retrieval.passages import MAX_PLACE, MAX_TITLE, Document, Passage, chunks, clean
from mmedagent.tool_workers.retrieval.readers.outline import MAX_PASSAGES

MAX_PAGES = 5_000

_HYPHENATED = re.compile(r"(?<=[a-z])-\n(?=[a-z])")
_LIGATURES = str.maketrans({"ﬀ": "ff", "ﬁ": "fi", "ﬂ": "fl", "ﬃ": "ffi", "ﬄ": "ffl", "\u00ad": ""})


def read_pdf(content: bytes, place: str, stem: str) -> list[Document]:
    """The document of a file, a passage never crossing a page.

    Raises `InvalidRequestError` for what is damaged or encrypted, `TooLargeError` for too many pages or passages.
    """
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    try:
        reader = PdfReader(io.BytesIO(content))
        if reader.is_encrypted and not reader.decrypt(""):
            raise InvalidRequestError("It is encrypted.")
        if len(reader.pages) > MAX_PAGES:
            raise TooLargeError(f"It has more than {MAX_PAGES:,} pages.")
        title = clean(str(reader.metadata.title or "") if reader.metadata else "")[:MAX_TITLE]
        passages = tuple(_passages(reader, place))
    except DependencyError as error:
        raise InvalidRequestError("It is encrypted.") from error
    except PyPdfError as error:
        raise InvalidRequestError("It is a damaged PDF, or none.") from error
    return [Document((title or clean(stem)[:MAX_TITLE],), passages)] if passages else []


def _passages(reader: PdfReader, place: str) -> Iterator[Passage]:
    starts = sorted(_sections(reader, reader.outline), key=lambda start: start[0])
    section = ""
    made = 0
    for number, page in enumerate(reader.pages, 1):
        while starts and starts[0][0] <= number:
            section = starts.pop(0)[1]
        text = _HYPHENATED.sub("", page.extract_text().translate(_LIGATURES))
        for chunk in chunks(re.split(r"\n\s*\n", text)):
            made += 1
            if made > MAX_PASSAGES:
                raise TooLargeError(f"It has more than {MAX_PASSAGES:,} passages.")
            yield Passage(section, chunk, f"{place}, page {number}", number)


def _sections(reader: PdfReader, outline: list[Any], above: str = "") -> Iterator[tuple[int, str]]:
    """First page (from 1) and path of every entry of the outline; a list is what stands below the entry before it."""
    path = above
    for entry in outline:
        if isinstance(entry, list):
            yield from _sections(reader, entry, path)
            continue
        page = reader.get_destination_page_number(entry)
        path = " > ".join(part for part in (above, clean(str(entry.title))[:MAX_TITLE]) if part)[:MAX_PLACE]
        if page is not None and page >= 0:
            yield page + 1, path
