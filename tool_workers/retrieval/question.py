"""What a question asks: its clauses, its spelling, and the specific words in it that the handbook does not know."""

import re
from collections import defaultdict
from difflib import SequenceMatcher

from tokenizers import Tokenizer

from mmedagent.tool_workers.retrieval.corpus import Corpus
from mmedagent.tool_workers.retrieval.lexical import WordSearch, content_words

MAX_CLAUSES = 4
COMMON_WORDS = 8000
"""The WordPiece vocabulary is in order of frequency; a word beyond this place, or of several pieces, is specific."""

MIN_LETTERS = 5
NEAR = 0.8
"""Least similarity (Ratcliff and Obershelp) of a word with the one that replaces it."""

_ASKING = r"(?:how|what|when|where|which|who|why|is|are|can|could|do|does|should|will)"
_BOUNDARY = re.compile(rf"[?;]\s+|(?:,\s*(?:and\s+)?|\s+and\s+|\.\s+)(?={_ASKING}\b)", re.IGNORECASE)


def clauses(question: str) -> list[str]:
    """The questions inside a question, at most `MAX_CLAUSES`: it is cut where a new interrogative begins.

    >>> clauses("What is asthma and how is it treated?")
    ['What is asthma', 'how is it treated?']
    """
    parts = [part.strip() for part in _BOUNDARY.split(question)]
    return [part for part in parts if part][:MAX_CLAUSES]


class Speller:
    """Brings the words of a question into the handbook's spelling, and finds the subjects that it never mentions."""

    def __init__(self, corpus: Corpus, words: WordSearch, tokenizer: Tokenizer) -> None:
        self._words = words
        self._tokenizer = tokenizer
        self._by_sound: defaultdict[str, list[str]] = defaultdict(list)
        names = [name for condition in corpus.conditions for name in condition.names]
        texts = [passage.text for passage in corpus.passages]
        for word in sorted(set(content_words(" ".join(names + texts)))):
            self._by_sound[_sound(word)].append(word)

    def corrected(self, question: str) -> str:
        """The question with American and misspelt words replaced, where the handbook has one that sounds the same.

        "hemorrhage" becomes "haemorrhage" and "pnuemonia" "pneumonia".
        """
        for word in self._not_in_handbook(question):
            alike = self._by_sound[_sound(word)] if len(word) >= MIN_LETTERS else []
            ranked = sorted((SequenceMatcher(None, word, other).ratio(), other) for other in alike)
            if ranked and ranked[-1][0] >= NEAR:
                question = re.sub(rf"\b{re.escape(word)}\b", ranked[-1][1], question, flags=re.IGNORECASE)
        return question

    def unknown_subjects(self, question: str) -> list[str]:
        """Specific words of the question that occur in no passage in any form."""
        return [word for word in self._not_in_handbook(question) if self._is_specific(word)]

    def _not_in_handbook(self, question: str) -> list[str]:
        return [word for word in content_words(question) if not self._words.knows(word)]

    def _is_specific(self, word: str) -> bool:
        number = self._tokenizer.token_to_id(word)
        return number is None or number >= COMMON_WORDS


def _sound(word: str) -> str:
    """The consonants of a word without h and without repetition, which spellings of the same word share."""
    return re.sub(r"(.)\1+", r"\1", re.sub(r"[aeiouhy]", "", word))
