"""The retrieval tool: quoted, sourced passages of the handbook and of the user's corpora for a question."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import JsonValue

from mmedagent.protocol.card import ToolCard
from mmedagent.protocol.cards import load_card
from mmedagent.protocol.errors import CheckpointError, MMedAgentError, UnavailableError
from mmedagent.protocol.invocation import Artifact, ToolCall
from mmedagent.serving.tool import ToolContext, ToolOutput
from mmedagent.tool_workers.retrieval.collection import Collection
from mmedagent.tool_workers.retrieval.embedding import BackgroundEmbedder, embed_pending
from mmedagent.tool_workers.retrieval.handbook_pages import HANDBOOK, read_handbook
from mmedagent.tool_workers.retrieval.index import INDEX_FILE, load_index
from mmedagent.tool_workers.retrieval.library import Corpora, Library
from mmedagent.tool_workers.retrieval.shelves import Hit

if TYPE_CHECKING:
    from mmedagent.tool_workers.retrieval.engine import PassageSearch

DATA_DIR_VARIABLE = "MMEDAGENT_DATA_DIR"
TOP_K = 3


def corpora_folder(data_dir: Path | None = None) -> Path:
    """Where the user's corpora are: in the data folder, by default that of the environment."""
    return (data_dir or Path(os.environ.get(DATA_DIR_VARIABLE, "data"))) / "corpora"


class RetrievalTool:
    """Searches the handbook and the user's corpora.

    Args:
        checkpoint: folder with the index of the handbook; without it the index is computed on loading.
        handbook: folder of Markdown files (see `handbook`), by default the one that comes with the package.
        corpora: folder of the user's corpora, which may come, change and go; by default that of the environment.
    """

    def __init__(self, *, checkpoint: Path | None, handbook: Path = HANDBOOK, corpora: Path | None = None) -> None:
        self._checkpoint = checkpoint
        self._handbook = handbook
        self._corpora = Corpora(corpora or corpora_folder())
        self._search: PassageSearch | None = None
        self._card = load_card("retrieval")

    @property
    def card(self) -> ToolCard:
        return self._card

    def load(self, device: str) -> None:
        """Loads encoder and index. Raises `CheckpointError` for a bad file, or one made for another handbook."""
        # Imported here because the commands that only read words need no model library.
        from mmedagent.networks.checkpoints import sha256_file
        from mmedagent.networks.minilm import MINILM_SHA256, SentenceEncoder
        from mmedagent.tool_workers.retrieval.engine import PassageSearch

        handbook = read_handbook(self._handbook)
        encoder = SentenceEncoder(device=device)
        if self._checkpoint is None:
            embed_pending(handbook, encoder)
            sha256 = MINILM_SHA256
        else:
            load_index(handbook, MINILM_SHA256, self._checkpoint / INDEX_FILE)
            sha256 = sha256_file(self._checkpoint / INDEX_FILE)
        _self_test(PassageSearch(Library(handbook), encoder), handbook)
        embedder = BackgroundEmbedder(self._corpora, encoder)
        library = Library(handbook, self._corpora, on_pending=embedder.wake)
        library.shelves()
        self._search = PassageSearch(library, encoder)
        self._card = self._card.model_copy(update={"checkpoint_sha256": sha256})

    def run(self, calls: Sequence[ToolCall], context: ToolContext) -> list[ToolOutput | MMedAgentError]:
        if self._search is None:
            raise UnavailableError("The retrieval tool is not loaded.")
        outcomes: list[ToolOutput | MMedAgentError] = []
        for call in calls:
            context.raise_if_cancelled()
            hits = self._search.search(str(call.parameters["query"]), _top_k(call))
            documents = [context.store(hit.document.encode(), "text", "text/plain", hit.title) for hit in hits]
            passages: list[JsonValue] = [_passage(hit, text) for hit, text in zip(hits, documents, strict=True)]
            outcomes.append(ToolOutput({"passages": passages}, tuple(dict.fromkeys(documents))))
        return outcomes


def _top_k(call: ToolCall) -> int:
    value = call.parameters.get("top_k")
    return value if isinstance(value, int) else TOP_K


def _passage(hit: Hit, document: Artifact) -> dict[str, JsonValue]:
    page: dict[str, JsonValue] = {} if hit.page is None else {"page": hit.page}
    return {
        "text": hit.text,
        "highlight": list(hit.highlight),
        "condition": hit.title,
        "section": hit.section,
        "source": hit.source,
        "corpus": hit.corpus,
        "score": round(hit.cosine, 4),
        "document": document.sha256,
        **page,
    }


def _self_test(search: "PassageSearch", handbook: Collection) -> None:
    """An index that cannot find the first and last condition by name does not belong to its text."""
    titles = [title for (title,) in handbook.rows("SELECT title FROM documents ORDER BY id")]
    for title in (titles[0], titles[-1]):
        if [hit.title for hit in search.search(f"What is {title}?", top_k=1)] != [title]:
            raise CheckpointError("The retrieval index does not find the handbook's own conditions.")
