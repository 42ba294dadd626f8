"""Which of the questions that the small panel was taught a free question is, by its wording.

A wording has to fit from its first word to its last, so that a question with anything else in it is not taken for one
of them.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import NamedTuple

from mmedagent.protocol.consultation import normalised


class Meant(NamedTuple):
    """A family of `questions.json`, and the structure that is asked about."""

    family: str
    structure: str | None = None


_DOCTORS = "(?:panel|specialists|experts|doctors|colleagues)"
_BEFORE = re.compile(
    r"^(?:(?:hello|hi|please|and|so|ok|kindly|second question|(?:can|could|would|will) you(?: please)?"
    r"|(?:tell|show) (?:me|us)|say|state|name|determine|identify|decide|judge|i(?:'d| would) like to know"
    r"|i want to know|do you know|what do you think|let me know|give me"
    r"|(?:(?:i|we) (?:want|need) |get |ask for )?(?:a |another )?(?:second )?opinion(?: on| about| as to)?"
    rf"|dear {_DOCTORS}|(?:ask|consult)(?: with)? the {_DOCTORS}(?: about| on)?"
    rf"|what (?:does|do) the {_DOCTORS} (?:say|think)(?: about)?)\b[\s,:;.?!-]*)+"
)
_AFTER = re.compile(r"[\s,]*\b(?:please|thanks|thank you|in your opinion|do you think|according to the panel)[\s.!?]*$")

_PICTURE = r"(?:image|picture|scan|frame|slide|photo|photograph|radiograph|x-ray|study|view)"
_THIS = rf"(?:this|that|it|(?:the|this|that)(?: \w+)? {_PICTURE})"
_HERE = rf"(?: (?:here|(?:in|on|of|by|from) {_THIS}))?"
_SHOWN = "(?:shown|seen|visible|present|depicted|found|see|show)"
_IS_SEEN = rf"(?: (?:is|was|are|can be|do you|do we|does it|you|we))?(?: {_SHOWN})?"
_WHICH = r"(?:which|what)"
_WHICH_OR_THE = rf"(?:{_WHICH} |the )?"
_STRUCTURE = r"(?:the |a |an |this |that )?(?P<structure>[a-z][a-z -]{1,60}?)"
_WHOLE = rf"(?:the |this |that )?(?:whole |entire )?{_PICTURE}(?: area)?"
_KIND = rf"(?:(?:imaging )?(?:modality|technique)|(?:kind|type|sort) of {_PICTURE})"
_BODY = (
    r"(?:part of (?:the )?body|body (?:part|region)|region of (?:the )?body|anatomical (?:region|site)|organ|anatomy)"
)
_FINDING = r"(?:(?:main|radiological|pathological) )?(?:finding|abnormality|pathology)"
_QUARTER = rf"(?:in )?{_WHICH_OR_THE}(?:quarter|quadrant|corner)(?: of {_WHOLE})?"
_SHARE = rf"{_WHICH_OR_THE}(?:share|fraction|percentage|proportion|portion|part) of {_WHOLE}"
_COVERED = "(?:taken up by |covered by |filled by )?"
_COVERS = "(?:cover|take up|take|fill|occupy|make up)"
_BESIDE = "(?:as a (?:share|part|fraction) of|in relation to|relative to|compared (?:with|to))"

_WORDINGS = {
    "modality": (
        rf"{_WHICH_OR_THE}{_KIND}(?: of {_THIS})?(?: (?:is|was) (?:{_THIS}|used|shown)| {_THIS} is)?{_HERE}",
        rf"{_WHICH} (?:is|was) the {_KIND}{_HERE}",
        rf"{_WHICH} {_KIND} (?:was|is) (?:used|{_THIS} made with|{_THIS} taken with)(?: for {_THIS})?",
        rf"(?:with )?{_WHICH} {_KIND} (?:was|is) {_THIS} (?:made|taken|acquired)",
        rf"how (?:was|is) {_THIS} (?:made|taken|acquired|produced)",
    ),
    "organ": (
        rf"{_WHICH_OR_THE}{_BODY}(?: (?:is|was) {_THIS}| {_THIS} is|{_IS_SEEN}){_HERE}",
        rf"{_WHICH} (?:is|was) the {_BODY}{_IS_SEEN}{_HERE}",
        rf"{_WHICH} {_BODY} (?:does|do|did) {_THIS} show",
        rf"{_WHICH} {_BODY} (?:is|was) (?:imaged|examined|scanned){_HERE}",
    ),
    "finding": (
        rf"{_WHICH_OR_THE}{_FINDING}(?: is {_THIS}|{_IS_SEEN}){_HERE}",
        rf"{_WHICH} (?:is|are) the {_FINDING}{_IS_SEEN}{_HERE}",
        rf"{_WHICH} of (?:these|the)(?: following)? findings(?: is)?{_IS_SEEN}{_HERE}",
        rf"{_WHICH} {_FINDING} (?:does|do) {_THIS} show",
    ),
    "position": (
        rf"{_QUARTER} (?:is|are|lies|contains|holds|shows|has) {_STRUCTURE}(?: in| lie| lying)?{_HERE}",
        rf"{_QUARTER} (?:does|do|can) {_STRUCTURE} (?:lie|be seen|sit)(?: in)?{_HERE}",
        rf"{_QUARTER} {_STRUCTURE} (?:is|are|lies)(?: in)?{_HERE}",
        rf"where (?:in {_WHOLE} )?(?:is|are|lies) {_STRUCTURE}{_HERE}",
        rf"where (?:in {_WHOLE} )?(?:does|do|can) {_STRUCTURE} (?:lie|sit|be seen){_HERE}",
    ),
    "size": (
        rf"how much of {_WHOLE} (?:is|are) {_COVERED}{_STRUCTURE}",
        rf"how much of {_WHOLE} (?:does|do) {_STRUCTURE} {_COVERS}",
        rf"{_SHARE} (?:is|are) {_COVERED}{_STRUCTURE}",
        rf"{_SHARE} (?:does|do) {_STRUCTURE} {_COVERS}",
        rf"how (?:large|big) (?:is|are) {_STRUCTURE} {_BESIDE} {_WHOLE}",
    ),
}
"""By family. A word of the panel's list of structures stands where the structure is."""

_PATTERNS = tuple((family, re.compile(one)) for family, wordings in _WORDINGS.items() for one in wordings)


def meant(question: str, structures: Collection[str]) -> Meant | None:
    """The family that a question belongs to; None when it is any other question, or about any other structure."""
    plain = _AFTER.sub("", _BEFORE.sub("", normalised(question).replace("’", "'")))
    plain = " ".join(re.sub(r"[?!.,;:\"“”]", " ", plain).split())
    for family, pattern in _PATTERNS:
        found = pattern.fullmatch(plain)
        if found is not None and found.groupdict().get("structure") in (None, *structures):
            return Meant(family, found.groupdict().get("structure"))
    return None
