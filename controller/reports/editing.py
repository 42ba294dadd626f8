"""What becomes of the evidence of a report when a person changes its words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher

from mmedagent.controller.reports.draft import SECTIONS, numbers_outside
from mmedagent.controller.reports.report import ReportEdit, Section, Sentence
from mmedagent.protocol.claims import Claim

_WORD = re.compile(r"[-−+]?\d+(?:[.,]\d+)*|\w+|[^\w\s]")
_DENIAL = re.compile(r"\b(?:no|not|non|none|never|without|absent|negative|unlikely|cannot|\w+n['’]t)\b", re.IGNORECASE)


def edited(before: Sequence[Section], draft: Sequence[Section], edit: ReportEdit) -> list[Section]:
    """The sections that an edit makes of a report.

    A sentence that the report or its draft had keeps its evidence wherever it goes now. Another one is `edited`: of
    the sentence that stood in its place it keeps the claims whose words still stand.
    """
    known = {one.text: one for section in (*draft, *before) for one in section.sentences}
    old = {section.name: [one.text for one in section.sentences] for section in before}
    new = {section.name: [one.text for one in section.sentences] for section in edit.sections}
    return [
        Section(
            name=name,
            sentences=[
                known[text] if text in known else _changed(known.get(was or ""), text)
                for was, text in _paired(old.get(name, []), new.get(name, []))
            ],
        )
        for name in SECTIONS
    ]


def _paired(old: Sequence[str], new: Sequence[str]) -> Iterator[tuple[str | None, str]]:
    """Each new text with the old one that stood in its place."""
    for _, old_start, old_end, new_start, new_end in SequenceMatcher(None, old, new).get_opcodes():
        for index in range(new_end - new_start):
            was = old_start + index
            yield old[was] if was < old_end else None, new[new_start + index]


def _changed(was: Sentence | None, text: str) -> Sentence:
    claims = list(_standing(was, text)) if was else []
    whole = was is not None and 0 < len(claims) == len(was.claims)
    supported = whole and all(claim.supported for claim in claims) and not numbers_outside(text, claims)
    return Sentence(text=text, claims=claims, supported=supported, edited=True)


def _standing(was: Sentence, text: str) -> Iterator[Claim]:
    """The claims whose words are still there, each with the word behind it (a unit), at their new place.

    A finding does not stand when the number of denials in the sentence changed.
    """
    old, new = list(_WORD.finditer(was.text)), list(_WORD.finditer(text))
    matcher = SequenceMatcher(None, [one.group() for one in old], [one.group() for one in new])
    blocks = matcher.get_matching_blocks()
    same_stance = len(_DENIAL.findall(was.text)) == len(_DENIAL.findall(text))
    for claim in was.claims:
        if claim.kind == "finding" and not same_stance:
            continue
        words = [index for index, one in enumerate(old) if one.start() < claim.end and claim.start < one.end()]
        if not words:
            continue
        first, last = words[0], min(words[-1] + 1, len(old) - 1)
        block = next((one for one in blocks if one.a <= first and last < one.a + one.size), None)
        if block is not None:
            moved_first, moved_last = (new[index - block.a + block.b] for index in (first, words[-1]))
            start = moved_first.start() + max(0, claim.start - old[first].start())
            end = moved_last.end() - max(0, old[words[-1]].end() - claim.end)
            yield claim.model_copy(update={"start": start, "end": end, "text": text[start:end]})
