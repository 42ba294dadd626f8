"""How people vary one ask: politeness, synonyms, case, missing punctuation, typing errors."""

from __future__ import annotations

import re
import string
from random import Random

BEFORE = (
    "Please: ",
    "Hi, ",
    "Hello! ",
    "Hey, ",
    "Hi doctor. ",
    "Good morning. ",
    "Quick one: ",
    "For my notes: ",
    "Question: ",
    "OK, ",
    "So, ",
    "Dear assistant, ",
    "hey there - ",
    "Sorry to bother you. ",
    "One more thing: ",
    "Next: ",
    "please ",
    "I have a question. ",
    "Thanks for the last answer. ",
    "Now: ",
    "Um, ",
)
AFTER = (
    " Thanks!",
    " thanks",
    " please",
    " Thank you in advance.",
    " asap",
    " if you can",
    " It is urgent.",
    " Thx",
    " No hurry.",
    " I would be grateful.",
    " pls",
    " Many thanks.",
)
SYNONYMS = {
    "image": ("picture", "scan", "slice", "photo", "frame", "study", "file"),
    "picture": ("image", "scan", "photo"),
    "scan": ("image", "study", "slice", "picture"),
    "segment": ("outline", "delineate", "contour", "mask"),
    "outline": ("segment", "delineate", "trace", "contour"),
    "delineate": ("segment", "outline"),
    "find": ("locate", "detect", "spot"),
    "locate": ("find", "detect", "localise", "localize"),
    "detect": ("find", "locate"),
    "tell": ("inform",),
    "give": ("get", "show"),
    "treated": ("managed", "cured", "handled"),
    "symptoms": ("signs", "complaints"),
    "report": ("write-up", "radiology report"),
    "specialists": ("experts", "consultants", "panel"),
    "panel": ("specialists", "board", "team"),
    "modality": ("imaging modality", "kind of scan", "type of image", "imaging method"),
    "area": ("surface area", "size"),
    "box": ("rectangle", "frame", "bounding box"),
}


def with_synonyms(random: Random, text: str, probability: float) -> str:
    """Replace some words by words of the same meaning."""

    def change(match: re.Match[str]) -> str:
        choices = SYNONYMS.get(match[0].lower())
        if choices is None or random.random() >= probability:
            return match[0]
        word = random.choice(choices)
        return word.capitalize() if match[0][0].isupper() else word

    return re.sub(r"(?<![\w\[])\w+(?![\w\]])", change, text)


def with_typo(random: Random, text: str) -> str:
    """Swap, drop, double or replace one letter of one word of at least four letters."""
    places = [match for match in re.finditer(r"[A-Za-z]{4,}", text) if text[match.start() - 1 : match.start()] != "["]
    if not places:
        return text
    match = random.choice(places)
    word = match[0]
    at = random.randrange(1, len(word) - 1)
    edited = random.choice(
        (
            word[:at] + word[at + 1] + word[at] + word[at + 2 :],
            word[:at] + word[at + 1 :],
            word[:at] + word[at] + word[at:],
            word[:at] + random.choice(string.ascii_lowercase) + word[at + 1 :],
        )
    )
    return text[: match.start()] + edited + text[match.end() :]
