"""The retrieval tool: quoted, sourced passages of the handbook for a question."""

from collections.abc import Sequence
from pathlib import Path

from pydantic import JsonValue

from mmedagent.networks.checkpoints import sha256_file
from mmedagent.networks.minilm import MINILM_SHA256, SentenceEncoder
from mmedagent.protocol.card import ToolCard
from mmedagent.protocol.cards import load_card
from mmedagent.protocol.errors import CheckpointError, MMedAgentError, UnavailableError
from mmedagent.protocol.invocation import ToolCall
from mmedagent.serving.tool import ToolContext, ToolOutput
from mmedagent.tool_workers.retrieval.corpus import HANDBOOK, Corpus, read_corpus
from mmedagent.tool_workers.retrieval.engine import HandbookSearch, Hit
from mmedagent.tool_workers.retrieval.index import INDEX_FILE, build_index, load_index

TOP_K = 3


class RetrievalTool:
    """Searches a handbook with the index in the checkpoint folder; without a folder the index is computed on loading.

    `handbook` is a folder of Markdown files (see `corpus`), by default the one that comes with the package.
    """

    def __init__(self, *, checkpoint: Path | None, handbook: Path = HANDBOOK) -> None:
        self._checkpoint = checkpoint
        self._handbook = handbook
        self._search: HandbookSearch | None = None
        self._card = load_card("retrieval")

    @property
    def card(self) -> ToolCard:
        return self._card

    def load(self, device: str) -> None:
        """Loads encoder and index. Raises `CheckpointError` for a bad file, or one made for another handbook."""
        corpus = read_corpus(self._handbook)
        encoder = SentenceEncoder(device=device)
        if self._checkpoint is None:
            index, sha256 = build_index(corpus, encoder), MINILM_SHA256
        else:
            path = self._checkpoint / INDEX_FILE
            index, sha256 = load_index(corpus, path), sha256_file(path)
        search = HandbookSearch(corpus, index, encoder)
        _self_test(search, corpus)
        self._search = search
        self._card = self._card.model_copy(update={"checkpoint_sha256": sha256})

    def run(self, calls: Sequence[ToolCall], context: ToolContext) -> list[ToolOutput | MMedAgentError]:
        if self._search is None:
            raise UnavailableError("The retrieval tool is not loaded.")
        outcomes: list[ToolOutput | MMedAgentError] = []
        for call in calls:
            context.raise_if_cancelled()
            hits = self._search.search(str(call.parameters["query"]), _top_k(call))
            outcomes.append(ToolOutput({"passages": [_passage(hit) for hit in hits]}))
        return outcomes


def _top_k(call: ToolCall) -> int:
    value = call.parameters.get("top_k")
    return value if isinstance(value, int) else TOP_K


def _passage(hit: Hit) -> dict[str, JsonValue]:
    return {
        "text": hit.passage.text,
        "highlight": list(hit.passage.span(hit.sentence)),
        "condition": hit.passage.condition,
        "section": hit.passage.section,
        "source": hit.passage.source,
        "score": round(hit.cosine, 4),
    }


def _self_test(search: HandbookSearch, corpus: Corpus) -> None:
    """An index that cannot find the first and last condition by name does not belong to its text."""
    for condition in (corpus.conditions[0], corpus.conditions[-1]):
        hits = search.search(f"What is {condition.title}?", top_k=1)
        if [hit.passage.condition for hit in hits] != [condition.title]:
            raise CheckpointError("The retrieval index does not find the handbook's own conditions.")
