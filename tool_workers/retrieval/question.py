"""What a question asks: its clauses, its spelling, and the specific words in it that no corpus knows."""

import re
from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import TYPE_CHECKING

from mmedagent.tool_workers.retrieval.lexical import content_words, sound_of
from mmedagent.tool_workers.retrieval.word_search import MAX_WORDS, WordSearch

if TYPE_CHECKING:
    from tokenizers import Tokenizer

MAX_CLAUSES = 4
MIN_LETTERS = 5
NEAR = 0.8
"""Least similarity (Ratcliff and Obershelp) of a word with the one that replaces it."""

_ASKING = r"""(?:how|what|when|where|which|who|why|(?:is|are|can|could|do|does|should|will)\s
    (?:he|i|it|my|one|she|someone|that|the|there|these|they|this|we|you))"""
_BOUNDARY = re.compile(rf"[?;]\s+|(?:,\s*(?:and\s+)?|\s+and\s+|\.\s+)(?={_ASKING}\b)", re.IGNORECASE | re.VERBOSE)


def clauses(question: str) -> list[str]:
    """The questions inside a question, at most `MAX_CLAUSES`: it is cut where a new interrogative begins.

    >>> clauses("What is asthma and how is it treated?")
    ['What is asthma', 'how is it treated?']
    """
    parts = [part.strip() for part in _BOUNDARY.split(question)]
    return [part for part in parts if part][:MAX_CLAUSES]


class Speller:
    """Brings the words of a question into the spelling of the corpora, and finds what they lack."""

    def __init__(self, corpora: Sequence[WordSearch], tokenizer: "Tokenizer") -> None:
        self._corpora = corpora
        self._tokenizer = tokenizer

    def corrected(self, question: str) -> str:
        """The question with American and misspelt words replaced, where a corpus has one that sounds the same.

        "hemorrhage" becomes "haemorrhage" and "pnuemonia" "pneumonia".
        """
        for word in self._unknown(question):
            other = self._nearest(word) if len(word) >= MIN_LETTERS else None
            if other:
                question = re.sub(rf"\b{re.escape(word)}\b", other, question, flags=re.IGNORECASE)
        return question

    def unknown(self, question: str) -> float:
        """The share (0 to 1) of rare words that no passage has in any form, such as the name of another disease."""
        words = set(content_words(question))
        return sum(self._is_rare(word) for word in self._unknown(question)) / max(len(words), 1)

    def _nearest(self, word: str) -> str | None:
        """A word of the corpora that may be meant; for a common word only the same one in British spelling."""
        alike = {other for corpus in self._corpora for other in corpus.alike(sound_of(word)) if corpus.knows(other)}
        if not self._is_rare(word):
            return next((other for other in sorted(alike) if _american(other) == _american(word)), None)
        ranked = sorted((SequenceMatcher(None, word, other).ratio(), other) for other in alike)
        return ranked[-1][1] if ranked and ranked[-1][0] >= NEAR else None

    def _is_rare(self, word: str) -> bool:
        """Whether the encoder's vocabulary has the word in pieces only."""
        return self._tokenizer.token_to_id(word) is None

    def _unknown(self, question: str) -> list[str]:
        words = dict.fromkeys(content_words(question)[:MAX_WORDS])
        return [word for word in words if not any(corpus.knows(word) for corpus in self._corpora)]


def _american(word: str) -> str:
    for british, american in (("ae", "e"), ("oe", "e"), ("our", "or"), ("tre", "ter"), ("is", "iz"), ("ys", "yz")):
        word = word.replace(british, american)
    return word
