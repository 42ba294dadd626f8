"""The vocabulary of chest reports, and reports as rows of tokens."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

from mmedagent.networks.report_generator import BEGIN, BETWEEN, END, PAD, SPECIAL, UNKNOWN, special_id
from mmedagent.training.phantoms.base import Report
from mmedagent.training.phantoms.chest_findings import FINDINGS, ZONES, Note
from mmedagent.training.phantoms.chest_words import write_report

LENGTH = 96
"""Tokens of the longest report, special ones included."""

_SIDES = ("right", "left", "both")
_EXTENTS = ("small", "moderate", "large")


def some_notes(rng: np.random.Generator) -> list[Note]:
    """Notes of a report without an image, each combination of words possible."""
    chosen = rng.choice(FINDINGS, int(rng.integers(0, 5)), replace=False)
    return [
        Note(
            str(name),
            str(rng.choice(_SIDES)),
            str(rng.choice(ZONES)),
            str(rng.choice(_EXTENTS)),
            rng.random() < 0.3 and name == "lung nodule",
        )
        for name in chosen
    ]


def build_tokenizer(reports: int = 3000) -> Tokenizer:
    """A word-level tokenizer that knows every word a report can have; always the same one."""
    rng = np.random.default_rng(0)
    texts = [write_report(rng, some_notes(rng)) for _ in range(reports)]
    splitter = _splitter()
    words = {
        word
        for report in texts
        for word, _ in splitter.pre_tokenize_str(f"{report.findings} {report.impression}".lower())
    }
    vocabulary = {word: index for index, word in enumerate([*SPECIAL, *sorted(words)])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = splitter
    tokenizer.add_special_tokens(list(SPECIAL))
    return tokenizer


def _splitter() -> pre_tokenizers.PreTokenizer:
    """Words at blanks, with punctuation apart."""
    return pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Split(Regex("[.,;:]"), "isolated")]
    )


def encoded(tokenizer: Tokenizer, report: Report) -> NDArray[np.int16]:
    """A report as (LENGTH,) token ids, padded.

    Raises:
        ValueError: it is longer than that.
    """
    parts = [tokenizer.encode(text, add_special_tokens=False).ids for text in (report.findings, report.impression)]
    begin, between, end, pad = (special_id(tokenizer, name) for name in (BEGIN, BETWEEN, END, PAD))
    ids = [begin, *parts[0], between, *parts[1], end]
    if len(ids) > LENGTH:
        raise ValueError(f"a report of {len(ids)} tokens is longer than {LENGTH}")
    return np.asarray(ids + [pad] * (LENGTH - len(ids)), np.int16)
