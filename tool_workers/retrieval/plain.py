"""Everyday words in a question, and what medical texts say instead."""

import re
import tomllib
from pathlib import Path

_FILE = Path(__file__).with_name("plain_words.toml")
_ENDINGS = ("ing", "ed", "es", "s", "e", "y")
_LEAST_STEM = 3


class PlainWords:
    """The table of `plain_words.toml`."""

    def __init__(self) -> None:
        table = tomllib.loads(_FILE.read_text("utf-8"))
        self._table = [(_stems(plain), medical) for plain, medical in table.items()]

    def explained(self, question: str) -> str:
        """The question with the medical words for its everyday ones after it, in brackets.

        >>> PlainWords().explained("Why are her eyes yellow?")
        'Why are her eyes yellow? (jaundice)'
        """
        stems = _stems(question)
        terms = dict.fromkeys(medical for plain, medical in self._table if plain <= stems)
        return f"{question} ({', '.join(terms)})" if terms else question


def _stems(text: str) -> frozenset[str]:
    return frozenset(_stem(word) for word in re.findall(r"[a-z]+", text.casefold()))


def _stem(word: str) -> str:
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= _LEAST_STEM:
            return word.removesuffix(ending)
    return word
