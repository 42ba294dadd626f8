"""The packaged handbook: a corpus of Markdown files, one a condition, whose embeddings come in a file.

A page starts with TOML front matter (`title`, `synonyms`, `body_system`, `notice`) and has the sections of `SECTIONS`
in that order.
"""

import hashlib
from dataclasses import replace
from pathlib import Path

from mmedagent.protocol.errors import CheckpointError, RequestError
from mmedagent.tool_workers.retrieval.collection import Collection
from mmedagent.tool_workers.retrieval.library import HANDBOOK_NAME
from mmedagent.tool_workers.retrieval.passages import Document
from mmedagent.tool_workers.retrieval.readers.markdown import read_markdown

HANDBOOK = Path(__file__).parent / "handbook"
SECTIONS = ("Overview", "Symptoms", "Imaging findings", "Diagnosis", "Treatment", "When it is urgent")
_LABEL = "mmedagent handbook"


def read_handbook(folder: Path = HANDBOOK) -> Collection:
    """Every `.md` file of a folder, in memory, without embeddings.

    Raises `CheckpointError` naming the file and what is wrong with it.
    """
    collection = Collection(HANDBOOK_NAME, _LABEL)
    paths = sorted(folder.glob("*.md"))
    if not paths:
        raise CheckpointError("The handbook has no conditions.")
    for path in paths:
        content = path.read_bytes()
        sha256 = hashlib.sha256(content).hexdigest()
        collection.replace_file(path.name, path.name, sha256, [_read_page(path.name, content)])
    return collection


def _read_page(name: str, content: bytes) -> Document:
    try:
        [page] = read_markdown(content, name, "")
    except (RequestError, ValueError) as error:
        raise CheckpointError(f"{name}: the page cannot be read: {error}") from error
    if not page.title:
        raise CheckpointError(f"{name}: the front matter gives no title.")
    if tuple(dict.fromkeys(passage.section for passage in page.passages)) != SECTIONS:
        raise CheckpointError(f"{name}: expected the sections {', '.join(SECTIONS)}.")
    passages = (replace(passage, place=f"{page.title}, {passage.section}") for passage in page.passages)
    return replace(page, passages=tuple(passages))
