"""Any answer, whatever is in it, has valid claims, and soon."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmedagent.controller.evidence.answers import with_evidence
from mmedagent.protocol.claims import Claim
from mmedagent.protocol.types import MAX_TEXT
from support.evidence import BOXES, FAILURE, IMAGE, MASKS, basis, result

PIECES = (
    *"“”[](){},.;:!?-−–²%\n\t 0123456789", "[1]", "[0.25, 0.07, 0.74, 0.69]", " mm²", " px", "2,126", "0.42", "no ",
    "pneumothorax", " left kidney ",
    "failed", "masks", " more", "1e5", "x", "segmentation", "“no”", "İ", "ß", "٣", "\u00a0",
)  # fmt: skip
KEYS = st.sampled_from(("boxes", "labels", "probabilities", "scores", "masks", "a/b~", "area_mm2", "unit"))
TEXTS = st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=60).map("".join)
NUMBERS = st.integers(-(10**400), 10**400) | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=100, deadline=None)
@given(TEXTS, TEXTS, st.dictionaries(KEYS, JSON))
def test_any_answer_has_claims_that_are_in_it(text: str, question: str, data: dict[str, Any]) -> None:
    given = basis(
        ({"prompts": ["spleen", text]}, result("grounding", data)), ({}, FAILURE), question=question, image=IMAGE
    )
    told, found = with_evidence(text, given)
    assert told.startswith(text)
    ends = [0, *(one.end for one in found)]
    for one, before in zip(found, ends, strict=False):
        assert before <= one.start < one.end <= len(told)
        assert one.text == told[one.start : one.end]
        assert one.field is None or _resolves(data, one)
    assert any(one.kind == "failure" for one in found)


def _resolves(data: dict[str, Any], claim: Claim) -> bool:
    here: Any = data
    for part in claim.field.split("/")[1:] if claim.field else ():
        name = part.replace("~1", "/").replace("~0", "~")
        here = here[int(name)] if isinstance(here, list) else here[name]
    return True


HARD: Sequence[str] = (
    "1 ", "1", "1,", "[", "[1,", "[ ", "“", ".", "\n", "[1]", "failed ", "effusion. ", "no effusion and ",
    "0.42 masks ", "[0.1, 0.2, 0.3, 0.4] ", "1x", "1 more ", "box 1 ",
)  # fmt: skip


@pytest.mark.parametrize("piece", HARD)
def test_no_answer_takes_long(piece: str) -> None:
    given = basis(({}, result("segmentation", MASKS)), ({}, result("grounding", BOXES)), ({}, FAILURE))
    started = time.thread_time()
    with_evidence((piece * MAX_TEXT)[:MAX_TEXT], given)
    assert time.thread_time() - started < 4.0
