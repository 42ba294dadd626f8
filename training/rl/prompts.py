"""What triage and attending physician read in the synthetic world, and the replies that teach them the form.

The prompts of MMedAgent-RL are not public; these are our own, and short, so that a small model reads them quickly.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from mmedagent.protocol.consultation import LETTERS, SPECIALTIES, Reply, format_reply
from mmedagent.training.rl.specialists import CONFIDENCES, Opinion, most_votes
from mmedagent.training.rl.world import OPTIONS, Item

IMAGE = "image"
ALL_AGREE = "all agree"
DIFFER = {how: f"they differ, the first is {how}" for how in CONFIDENCES}


def kind(item: Item) -> str:
    """What the case is: what kind of image, and what is asked. Whom to trust depends on both."""
    return f"{item.modality}, {item.family}"


def heard(opinions: Sequence[Opinion]) -> str:
    """What opinions come to: that all agree, or how certain the one is whom triage called."""
    return ALL_AGREE if most_votes(opinions) == len(opinions) else DIFFER[opinions[0].confidence]


def triage_prompt(item: Item) -> str:
    """Asks for one of the specialties."""
    return f"{item.question}\nWhich specialist should see this?"


def attending_prompt(item: Item, opinions: Sequence[Opinion] = ()) -> str:
    """Asks for an option; each opinion has a line, and so has what they come to. Without opinions: a plain question."""
    said = [f"{one.specialist} ({LETTERS[one.choice]}) {one.confidence}" for one in opinions]
    return "\n".join([item.asked, *said, *([heard(opinions)] if opinions else [])])


def triage_reply(item: Item, specialty: str) -> str:
    """Says what the case is, then the specialty."""
    return format_reply(Reply(kind(item), specialty))


def looking_reply(item: Item) -> str:
    """Says what the case is, that the image decides, what it shows, then the right option.

    To look is a word of its own, as each specialist is: so it is decided before what the image shows, and not with it.
    """
    seen = f"{kind(item)}\n{IMAGE}\n{item.options[item.answer]} ({item.letter})"
    return format_reply(Reply(seen, item.letter))


def following_reply(item: Item, one: Opinion) -> str:
    """Says what the case is, whom to follow, then what that one says, right or wrong."""
    letter = LETTERS[one.choice]
    return format_reply(Reply(f"{kind(item)}\n{one.specialist} ({letter})", letter))


def clean_reply(item: Item, opinions: Sequence[Opinion], random: Random) -> str:
    """The right option: by somebody who says it, or by the image where nobody does."""
    right = [one for one in opinions if one.choice == item.answer]
    return following_reply(item, random.choice(right)) if right else looking_reply(item)


def any_specialty(random: Random) -> str:
    return random.choice(SPECIALTIES)


def messages(prompt: str) -> list[dict[str, object]]:
    """A conversation with one image and the prompt, as processors and TRL take it."""
    return [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": prompt}]}]


def vocabulary_texts(items: Sequence[Item]) -> list[str]:
    """What the panel may read or write about questions like these, every option and opinion with every letter."""
    names = {name for item in items for name in item.options}
    said = [f"{name} ({letter})" for name in sorted({*names, *SPECIALTIES}) for letter in LETTERS[:OPTIONS]]
    sure = [f"{name} ({letter}) {how}" for name in SPECIALTIES for letter in LETTERS[:OPTIONS] for how in CONFIDENCES]
    asked = [text for item in items for text in (triage_prompt(item), attending_prompt(item), kind(item))]
    return [
        "USER: ",
        "ASSISTANT: ",
        IMAGE,
        ALL_AGREE,
        *DIFFER.values(),
        *SPECIALTIES,
        *LETTERS[:OPTIONS],
        *said,
        *sure,
        *asked,
    ]
