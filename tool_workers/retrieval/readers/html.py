"""HTML as text: nothing in it is run or fetched."""

import re

from lxml import etree

from mmedagent.protocol.errors import InvalidRequestError
from mmedagent.tool_workers.retrieval.passages import Document
from mmedagent.tool_workers.retrieval.readers.outline import Outline

_SKIPPED = frozenset(
    re.findall(
        r"\w+", "head script style template noscript nav footer form button select svg math iframe object canvas"
    )
)
_INLINE = frozenset(
    re.findall(
        r"\w+",
        """a abbr acronym b bdi bdo big cite code data del dfn em font i ins kbd label mark q s samp small span strike
        strong sub sup time tt u var wbr""",
    )
)
_CELLS = frozenset(("td", "th"))
_CELL = "; "
_HEADINGS = {f"h{level}": level for level in range(1, 7)}


def read_html(content: bytes, place: str, stem: str) -> list[Document]:
    """The documents of a page. Raises `InvalidRequestError` when there is no HTML in it."""
    root = _parse(content)
    if root is None:
        raise InvalidRequestError("It is not HTML.")
    outline = Outline()
    _walk(root, outline)
    title = root.findtext(".//title")
    return outline.documents(place, title if title and title.strip() else stem)


def add_html(text: str, outline: Outline) -> None:
    """Add the text of a fragment, such as a block of HTML inside Markdown."""
    root = _parse(text.encode())
    if root is not None:
        _walk(root, outline)


def _parse(content: bytes) -> etree._Element | None:
    parser = etree.HTMLParser(no_network=True, remove_comments=True, remove_pis=True, encoding=_encoding(content))
    try:
        return etree.fromstring(content, parser)
    except etree.XMLSyntaxError as error:
        raise InvalidRequestError("It is not HTML.") from error


def _encoding(content: bytes) -> str | None:
    """UTF-8 where it is that; otherwise the parser follows the page's own declaration."""
    try:
        content.decode()
    except UnicodeDecodeError:
        return None
    return "utf-8"


def _walk(root: etree._Element, outline: Outline) -> None:
    text: list[str] = []
    heading = ""
    walker = etree.iterwalk(root, events=("start", "end"))
    for event, element in walker:
        tag = str(element.tag)
        ends = event == "end"
        if tag not in _INLINE | _CELLS | _SKIPPED:
            _flush(text, outline, heading)
            heading = "" if ends else heading or (tag if tag in _HEADINGS else "")
        if not ends and _is_hidden(element):
            walker.skip_subtree()
        elif not ends:
            text.append(element.text or "")
        else:
            text += [_CELL if tag in _CELLS else "", element.tail or ""]
    _flush(text, outline, heading)


def _flush(text: list[str], outline: Outline, heading: str) -> None:
    """Where an element begins or ends that stands on lines of its own, what came before it is a block or heading."""
    words = "".join(text).strip(_CELL + "\n\t")
    text.clear()
    if words and heading:
        outline.heading(_HEADINGS[heading], words)
    else:
        outline.block(words)


def _is_hidden(element: etree._Element) -> bool:
    return str(element.tag) in _SKIPPED or "hidden" in element.attrib or element.get("aria-hidden") == "true"
