"""How the consultation panel speaks: the specialties, the form of an attending physician's reply, and which option an
answer stands for. Rewards, evaluation and the tool all read replies with these functions and no others.

The form is that of MMedAgent-RL (arXiv 2506.00555): `<think>…</think><answer>…</answer>`.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Sequence
from typing import Literal, NamedTuple, get_args

Specialty = Literal[
    "pathologist", "radiologist", "surgeon", "oncologist", "endocrinologist", "ophthalmologist", "dermatologist"
]
SPECIALTIES: tuple[str, ...] = get_args(Specialty)
"""The seven that triage chooses from, in the order of the paper."""

MAX_REPLY = 20_000
"""Characters of a reply that are read; of a longer one the rest is not."""

LETTERS = string.ascii_uppercase

_REPLY = re.compile(r"\s*<think>(?P<rationale>.*?)</think>\s*<answer>(?P<answer>.*?)</answer>\s*", re.DOTALL)
_TAG = re.compile(r"</?(?:think|answer)>")
_ANSWER = re.compile(r"<answer>(.*?)</answer>", re.DOTALL)
_NOT = re.compile(
    r"(?:\b(?:no|not|nor|never|neither|without|exclud\w+|rul\w+ out|rather than|instead of)|n't)(?: an?| the)? ?$"
)
_LABELS = (
    re.compile(r"^[^\w\0]*([A-Za-z])[^\w\0]*$"),
    re.compile(r"^\(?([A-Za-z])(?:\)|:)"),
    re.compile(r"^([A-Z])(?:\.(?= ?(?:[A-Z\0]|$))|,| -| is\b| (?:or|and) [A-Z](?!\w))"),
    re.compile(r"\(([A-Z])\)"),
    re.compile(r"(?:, ?|/| or | and )([B-HJ-Z])(?![\w-])"),
    re.compile(r"(?i:\b(?:option|choice)) \(?([A-Za-z])(?![\w-])"),
    re.compile(
        r"(?i:\b(?:answer(?: is| would be)?:?|choose|select|pick)) \(?([A-Za-z])"
        r"(?=$|[.,;:)]| ?\(| - | (?:because|since|as|due|given|with)\b)"
    ),
)
"""Ways to name an option by its letter. An "A" with a noun behind it is an article in all of them."""


class Reply(NamedTuple):
    """What somebody answered and why. Both may be empty when the reply was not in its form."""

    rationale: str
    answer: str


def read_reply(text: str) -> Reply | None:
    """A reply that has exactly the form: each of the four tags once, in order, nothing around them, and an answer.

    This is what the format reward asks for. None for anything else.
    """
    found = _REPLY.fullmatch(text) if len(text) <= MAX_REPLY else None
    if found is None:
        return None
    rationale, answer = found["rationale"].strip(), found["answer"].strip()
    if not answer or _TAG.search(rationale) or _TAG.search(answer):
        return None
    return Reply(rationale, answer)


def salvage_reply(text: str) -> Reply:
    """The reply of a model that does not keep to the form: never for rewards.

    What is in the only `<answer>` is the answer and the rest the rationale; without one, what follows on the last
    `</think>`; without that, all of it is the answer.
    """
    kept = text[:MAX_REPLY]
    answers = _ANSWER.findall(kept)
    if len(answers) == 1:
        return Reply(_untagged(_ANSWER.sub(" ", kept)), _untagged(answers[0]))
    rationale, _, answer = kept.rpartition("</think>")
    return Reply(_untagged(rationale), _untagged(answer))


def format_reply(reply: Reply) -> str:
    """The text that `read_reply` reads."""
    return f"<think>{reply.rationale}</think><answer>{reply.answer}</answer>"


def label(index: int, option: str) -> str:
    """An option as it is shown: `A. pneumonia`."""
    return f"{LETTERS[index]}. {option}"


def without_labels(options: Sequence[str]) -> tuple[str, ...]:
    """The options without their letters, where every one begins with its own (`A. pneumonia`, `(B) effusion`)."""
    bare = []
    for letter, option in zip(LETTERS, options, strict=False):
        found = re.match(rf"\s*\(?{letter}(?:[.):]|\s-)\s*(?=\S)", option)
        if found is None:
            return tuple(options)
        bare.append(option[found.end() :])
    return tuple(bare)


def normalised(text: str) -> str:
    """For comparing answers: one case, single spaces, no article in front and no punctuation around."""
    flat = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
    return re.sub(r"^(?:an?|the) (?=\w)", "", flat.strip(" .,;:!?\"'`*“”‘’"))


def chosen_option(answer: str, options: Sequence[str]) -> int | None:
    """The index of the one option that an answer names, by its letter or by its text.

    All that the answer says has to agree: with two options named, or none, there is no choice. The article "a" is not
    a letter, a letter in a word or an abbreviation is none, and an option after "not" or "no" does not count. `options`
    carry no letters of their own (`without_labels`).
    """
    texts = [normalised(option) for option in options]
    wanted = normalised(answer)
    exact = {index for index, text in enumerate(texts) if text and text == wanted}
    if exact:
        return exact.pop() if len(exact) == 1 else None
    flat = " ".join(unicodedata.normalize("NFKC", answer[:MAX_REPLY]).split()).strip("\"'`*“”‘’ ")
    opening = re.match(r"(yes|no)(?=[.,;:])", flat.casefold())
    if opening and opening[1] in texts:
        return texts.index(opening[1])
    rest, named = _named_texts(flat, texts)
    named |= _named_letters(rest, len(options))
    return named.pop() if len(named) == 1 else None


def _named_texts(flat: str, texts: Sequence[str]) -> tuple[str, set[int]]:
    """What is left of an answer when the options' texts are blotted out, the longest first, and those not denied."""
    named: set[int] = set()
    for index in sorted(range(len(texts)), key=lambda index: -len(texts[index])):
        if not texts[index] or re.fullmatch("[a-z]", texts[index]):
            continue
        pattern = re.compile(rf"(?<!\w)(?<!\d[.,]){re.escape(texts[index])}(?!\w)(?![.,]\d)", re.IGNORECASE)
        for found in pattern.finditer(flat):
            if not _NOT.search(flat[: found.start()].casefold()):
                named.add(index)
        flat = pattern.sub("\0", flat)
    return flat, named


def _named_letters(rest: str, count: int) -> set[int]:
    found = {LETTERS.index(match[1].upper()) for pattern in _LABELS for match in pattern.finditer(rest)}
    return {index for index in found if index < count}


def _untagged(text: str) -> str:
    return _TAG.sub(" ", text).strip()
