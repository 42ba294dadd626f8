"""Markdown (CommonMark with tables). Front matter in TOML (`+++`) or YAML (`---`) may give title and synonyms."""

import re
import tomllib
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token

from mmedagent.protocol.errors import InvalidRequestError
from mmedagent.tool_workers.retrieval.passages import MAX_TITLE, Document, clean
from mmedagent.tool_workers.retrieval.readers.html import add_html
from mmedagent.tool_workers.retrieval.readers.outline import Outline

_FRONT_MATTER = re.compile(r"\A(\+\+\+|---)[ \t]*\n(.*?)^\1[ \t]*$\n?", re.DOTALL | re.MULTILINE)
_YAML_TITLE = re.compile(r"^title:\s*[\"']?(.*?)[\"']?\s*$", re.MULTILINE)
_ROW = "tr_close"
_CELL = "; "


def read_markdown(content: bytes, place: str, stem: str) -> list[Document]:
    """The documents of a file. Raises `InvalidRequestError` when it is not UTF-8."""
    names, text = _front_matter(utf8(content).replace("\r\n", "\n"))
    outline = Outline()
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    level = 0
    cells: list[str] = []
    for token in tokens:
        if token.type == "heading_open":
            level = int(token.tag[1:])
        elif token.type == "heading_close":
            level = 0
        elif token.type == "inline" and level:
            outline.heading(level, _plain(token))
        elif token.type == "inline":
            cells.append(_plain(token))
        elif token.type in {"fence", "code_block"}:
            outline.block(token.content)
        elif token.type == "html_block":
            add_html(token.content, outline)
        if cells and token.type in {_ROW, "paragraph_close"}:
            outline.block(_CELL.join(cell for cell in cells if cell))
            cells = []
    return outline.documents(place, stem, names)


def utf8(content: bytes) -> str:
    """The text of a file. Raises `InvalidRequestError`."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidRequestError("It is not UTF-8 text.") from error


def _plain(token: Token) -> str:
    """The words of inline Markdown without its marks and tags."""
    return "".join(
        " " if child.type in {"softbreak", "hardbreak"} else child.content
        for child in token.children or ()
        if child.type not in {"html_inline", "image"}
    )


def _front_matter(text: str) -> tuple[tuple[str, ...], str]:
    found = _FRONT_MATTER.match(text)
    if not found:
        return (), text
    names = _toml_names(found[2]) if found[1] == "+++" else _YAML_TITLE.findall(found[2])[:1]
    short = (clean(str(name))[:MAX_TITLE] for name in names)
    return tuple(name for name in short if name), text[found.end() :]


def _toml_names(front_matter: str) -> list[Any]:
    try:
        fields = tomllib.loads(front_matter)
    except tomllib.TOMLDecodeError as error:
        raise InvalidRequestError(f"Its front matter is not TOML: {error}.") from error
    synonyms = fields.get("synonyms", [])
    titles = [fields["title"]] if "title" in fields else []
    return [*titles, *synonyms] if titles and isinstance(synonyms, list) else titles
