"""Invented names, so that a network learns to copy the user's words and not to recall a list of organs."""

from __future__ import annotations

from random import Random

_ONSETS = (
    "b",
    "br",
    "c",
    "ch",
    "cl",
    "d",
    "dr",
    "f",
    "fl",
    "g",
    "gl",
    "gr",
    "h",
    "j",
    "k",
    "kr",
    "l",
    "m",
    "n",
    "p",
    "ph",
    "pl",
    "pr",
    "qu",
    "r",
    "s",
    "sc",
    "sh",
    "sk",
    "sl",
    "st",
    "str",
    "t",
    "th",
    "tr",
    "v",
    "w",
    "x",
    "z",
)
_VOWELS = ("a", "e", "i", "o", "u", "ae", "ea", "ou", "y", "io")
_CODAS = ("", "", "", "l", "m", "n", "r", "s", "t", "x", "rn", "lt", "nd", "ck", "sp", "ct")
_ENDINGS = ("us", "um", "a", "is", "oid", "ula", "on", "ina", "oma", "ella", "iculus", "al", "ar", "ium")
_DISEASE_ENDINGS = ("itis", "osis", "oma", "aemia", "pathy", "algia", "ectasis", " disease", " syndrome", " fever")
_BEFORE = (
    "left",
    "right",
    "upper",
    "lower",
    "anterior",
    "posterior",
    "small",
    "medial",
    "lateral",
    "superior",
    "inferior",
    "distal",
    "deep",
    "main",
    "large",
    "calcified",
    "dark",
    "bright",
    "round",
)
_AFTER = (
    "lobe",
    "gland",
    "muscle",
    "node",
    "vein",
    "artery",
    "body",
    "ridge",
    "wall",
    "nerve",
    "bone",
    "lesion",
    "spot",
    "cells",
    "fold",
    "canal",
    "complex",
    "mass",
    "tract",
    "horn",
)


def pseudo_word(random: Random) -> str:
    """A pronounceable word of two or three syllables that is in no dictionary on purpose."""
    syllables = (
        random.choice(_ONSETS) + random.choice(_VOWELS) + random.choice(_CODAS) for _ in range(random.choice((1, 1, 2)))
    )
    return "".join(syllables) + random.choice(_ONSETS) + random.choice(_ENDINGS)


def pseudo_name(random: Random) -> str:
    """A name of one to three words around an invented one, such as "left blorvium" or "skandula gland"."""
    words = [pseudo_word(random)]
    if random.random() < 0.3:
        words.insert(0, random.choice(_BEFORE))
    if random.random() < 0.3:
        words.append(random.choice(_AFTER))
    if random.random() < 0.1:
        words[0] = f"{words[0]}-{random.choice('0123456789abc')}"
    return " ".join(words)


def pseudo_disease(random: Random) -> str:
    """An invented disease, such as "brastitis" or "quelorn syndrome"."""
    name = pseudo_word(random).rstrip("aeiou") + random.choice(_DISEASE_ENDINGS)
    return f"{random.choice(('acute', 'chronic', 'familial', 'severe'))} {name}" if random.random() < 0.2 else name
