"""JSON Lines: a document a row, `{"id", "title", "text", "source"?, "section"?}`; other fields are not read."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from mmedagent.protocol.errors import InvalidRequestError
from mmedagent.tool_workers.retrieval.passages import MAX_PLACE, MAX_TITLE, Document, Passage, chunks, clean
from mmedagent.tool_workers.retrieval.readers.markdown import utf8

MAX_ROW = 2**20
"""Characters."""

_SHOWN_NOTES = 5

Short = Annotated[str, StringConstraints(max_length=2_000)]


class Row(BaseModel):
    """One line of a file."""

    model_config = ConfigDict(extra="ignore", frozen=True, coerce_numbers_to_str=True)

    id: Short
    title: Short
    text: Annotated[str, StringConstraints(max_length=MAX_ROW)]
    source: Short = ""
    section: Short = ""


def read_jsonl(content: bytes, place: str) -> tuple[list[Document], list[str]]:
    """The documents, and what is wrong with the other rows. Raises `InvalidRequestError` when all are wrong."""
    documents = []
    wrong = []
    for number, line in enumerate(utf8(content).split("\n"), 1):
        if not line.strip():
            continue
        try:
            documents.append(_document(Row.model_validate_json(line), place))
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False, include_context=False)[0]
            field = ".".join(str(part) for part in first["loc"])
            wrong.append(f"line {number}: {field + ': ' if field else ''}{first['msg']}")
    if wrong and not documents:
        raise InvalidRequestError(f"It has no row that can be read; {wrong[0]}.")
    more = [f"and {len(wrong) - _SHOWN_NOTES} more lines"] if len(wrong) > _SHOWN_NOTES else []
    return [document for document in documents if document.passages], wrong[:_SHOWN_NOTES] + more


def _document(row: Row, place: str) -> Document:
    title = clean(row.title)[:MAX_TITLE] or clean(row.id)[:MAX_TITLE]
    source = clean(row.source)[:MAX_PLACE] or f"{place}, {clean(row.id)}"[:MAX_PLACE]
    section = clean(row.section)[:MAX_PLACE]
    return Document((title or place,), tuple(Passage(section, text, source) for text in chunks(row.text.split("\n"))))
