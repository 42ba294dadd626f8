"""The words of texts and questions."""

import re

FUNCTION_WORDS = frozenset(
    re.findall(
        r"\w+",
        """a about an and any are as at be been but by can could did do does doing done for from get give had has have
        how i if in into is it its know may me might my need no not of on or our please shall should so some someone
        tell than that the their them then there these they this those to us was we what when where which who whom
        why will with would you your""",
    )
)
"""English words of grammar, which say nothing about a subject."""


def content_words(text: str) -> list[str]:
    """The words of a text in lower case, without words of grammar and single letters."""
    words = re.findall(r"\w+", text.casefold())
    return [word for word in words if word not in FUNCTION_WORDS and len(word) > 1]


def sound_of(word: str) -> str:
    """The consonants of a word without h and without repetition, which spellings of the same word share."""
    return re.sub(r"(.)\1+", r"\1", re.sub(r"[aeiouhy]", "", word))
