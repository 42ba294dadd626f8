"""What triage and attending physician read about the synthetic world, and the replies that teach them the form.

The prompts of MMedAgent-RL are not public; these are our own, and short, so that a small model reads them quickly.
Their words are in `networks/consultation_words.py`, which the consultation tool asks with, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from mmedagent.networks import consultation_words as words
from mmedagent.protocol.consultation import LETTERS, SPECIALTIES, Reply, format_reply
from mmedagent.training.rl.specialists import Opinion
from mmedagent.training.rl.world import OPTIONS, Item


def kind(item: Item) -> str:
    """What the case is: what kind of image, and what is asked."""
    return words.kind_of(item.modality, item.family)


def triage_prompt(item: Item) -> str:
    """Asks for one of the specialties."""
    return words.triage_prompt(item.question)


def attending_prompt(item: Item, opinions: Sequence[Opinion] = ()) -> str:
    """Asks for an option; each opinion has a line, and so has what they come to. Without opinions: a plain question."""
    return words.attending_prompt(item.question, item.options, opinions)


def triage_reply(item: Item, specialty: str) -> str:
    """Says what the case is, then the specialty."""
    return format_reply(Reply(kind(item), specialty))


def looking_reply(item: Item) -> str:
    """Says what the case is, that the image decides, what it shows, then the right option.

    To look is a word of its own, as each specialist is: so it is decided before what the image shows, and not with it.
    """
    seen = words.lettered(item.options[item.answer], item.answer)
    return format_reply(Reply(f"{kind(item)}\n{words.IMAGE}\n{seen}", item.letter))


def following_reply(item: Item, one: Opinion) -> str:
    """Says what the case is, whom to follow, then what that one says, right or wrong."""
    said = words.lettered(one.specialist, one.choice)
    return format_reply(Reply(f"{kind(item)}\n{said}", LETTERS[one.choice]))


def clean_reply(item: Item, opinions: Sequence[Opinion], random: Random) -> str:
    """The right option: by somebody who says it, or by the image where nobody does."""
    right = [one for one in opinions if one.choice == item.answer]
    return following_reply(item, random.choice(right)) if right else looking_reply(item)


def any_specialty(random: Random) -> str:
    return random.choice(SPECIALTIES)


def vocabulary_texts(items: Sequence[Item]) -> list[str]:
    """What the panel may read or write about questions like these, every option and opinion with every letter."""
    names = {name for item in items for name in item.options}
    said = [words.lettered(name, place) for name in sorted({*names, *SPECIALTIES}) for place in range(OPTIONS)]
    sure = [
        f"{words.lettered(name, place)} {how}"
        for name in SPECIALTIES
        for place in range(OPTIONS)
        for how in words.CONFIDENCES
    ]
    asked = [text for item in items for text in (triage_prompt(item), attending_prompt(item), kind(item))]
    fixed = [
        "USER: ",
        "ASSISTANT: ",
        words.IMAGE,
        words.ALL_AGREE,
        *words.DIFFER.values(),
        *SPECIALTIES,
        *LETTERS[:OPTIONS],
    ]
    return [*fixed, *said, *sure, *asked]
