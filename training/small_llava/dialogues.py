"""Dialogues for the small LLaVA: asks with their plans, tool output with its answers, and words about an image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

from mmedagent.networks.planner_text import read_ask_text
from mmedagent.protocol.cards import built_in_cards
from mmedagent.protocol.plan import Plan
from mmedagent.protocol.planner_format import second_turn
from mmedagent.protocol.prompts import failed, planner_name
from mmedagent.training.instructions.ask_files import ONLY_MIXED, Share
from mmedagent.training.instructions.dialogues import Dialogue, Exchange
from mmedagent.training.instructions.examples import Example, examples
from mmedagent.training.instructions.export import IMAGE_TOOLS
from mmedagent.training.planner_evaluation import actions_of, true_parts
from mmedagent.training.pool import Row
from mmedagent.training.small_llava.outputs import drawn_output

ANSWER_SHARE, FAILURE_SHARE, HISTORY_SHARE, LOOK_SHARE = 0.1, 0.1, 0.1, 0.06
EACH, JOINED = 2, 2_500
OTHER_SHARE = 0.25
"""Of the asks for tools that the planner does not know, so many are shown: with all of them it calls too few tools."""


_SAID = {
    "greeting": "Hello. Attach a medical image and ask about it, or ask about a condition.",
    "thanks": "You are welcome. Ask on whenever you like.",
    "abilities": "I plan the work of tools for medical images: finding, outlining, classifying, reporting, looking up "
    "and consulting.",
    "clarify": "What would you like to know, and about which structure?",
    "unsafe": "I cannot help with that. I do not prescribe, decide on treatment, identify people, or write anything "
    "untrue about an image.",
    "off_topic": "That is outside of what I do. I answer questions about medical images and look up medical "
    "conditions.",
    "other_tool": "None of my tools does that. I can find, outline, classify, report, look up and consult.",
    "image_question": "",
}
_BY_WEIGHT = ("unsafe", "off_topic", "other_tool", "image_question", "abilities", "clarify", "greeting", "thanks")
_LOOKS = (
    "Describe this image in a sentence.",
    "What does the picture show?",
    "At a glance: what am I looking at?",
    "What can be seen here?",
)
_REASONS = ("it took too long", "the worker is not reachable", "the image could not be read")


@dataclass(frozen=True)
class Drawn:
    """A dialogue of which the last reply is learnt, or every one where `whole`."""

    dialogue: Dialogue
    whole: bool = True


class DialogueDrawer:
    """Draws asks of a share in rounds, and makes dialogues of them."""

    def __init__(self, share: Share, seed: Sequence[int]) -> None:
        self._share: Share = share
        self._random = Random(str([*seed]))  # noqa: S311 - training data, not secrets
        self._cards = built_in_cards()

    def draw(self, seed: int) -> Iterator[Example]:
        """The asks of one round in random order, each with all that it means in its own words."""
        drawn = [one for one in examples(self._share, EACH, JOINED, seed) if _self_contained(one)]
        drawn = [one for one in drawn if not one.wants_other_tool or self._random.random() < OTHER_SHARE]
        self._random.shuffle(drawn)
        yield from drawn

    def dialogue(self, example: Example, before: Example, row: Row | None) -> Drawn:
        """The example as a dialogue about an image, or without one; `before` may be what was asked earlier."""
        random = self._random
        image = "" if row is None else "image"
        if row is not None and random.random() < LOOK_SHARE:
            return Drawn(Dialogue("look", image, (Exchange(random.choice(_LOOKS), look_plan(row)),)))
        spoken = example.spoken(random)
        plan = plan_of(example, spoken, row)
        asked = (Exchange(spoken, plan),)
        if plan.actions and random.random() < ANSWER_SHARE:
            return Drawn(Dialogue("answer", image, (*asked, self._answered(spoken, plan))))
        if random.random() < HISTORY_SHARE:
            earlier = before.spoken(random)
            return Drawn(
                Dialogue("history", image, (Exchange(earlier, self._told(earlier, before, row)), *asked)), whole=False
            )
        return Drawn(Dialogue("plan", image, asked))

    def _told(self, spoken: str, example: Example, row: Row | None) -> Plan:
        """What a conversation shows of an earlier turn: its answer, as a plan without actions."""
        plan = plan_of(example, spoken, row)
        return Plan(thoughts="", value=self._answered(spoken, plan).plan.value if plan.actions else plan.value)

    def _answered(self, spoken: str, plan: Plan) -> Exchange:
        outputs, problems, sentences = [], [], []
        for number, action in enumerate(plan.actions, 1):
            name = planner_name(action.API_name, self._cards)
            if self._random.random() < FAILURE_SHARE:
                reason = self._random.choice(_REASONS)
                problems.append(failed(name, reason))
                sentences.append(f"The {name} tool failed, because {reason}, so there is no result. [{number}]")
            else:
                output = drawn_output(self._random, action)
                outputs.append((name, output.data))
                sentences.append(f"{output.said} [{number}]")
        said = "".join(problems) + second_turn(outputs, spoken)
        return Exchange(said, Plan(thoughts="I will answer from the output.", value="\n".join(sentences)))


def plan_of(example: Example, spoken: str, row: Row | None) -> Plan:
    """The plan that an example means; `spoken` is its text with coordinates."""
    parts = true_parts(example)
    wanted = ", ".join(dict.fromkeys(part.outcome.replace("_", " ") for part in parts))
    actions = actions_of(parts, read_ask_text(spoken))
    if row is None and any(action.API_name in IMAGE_TOOLS for action in actions):
        return Plan(thoughts=f"Wanted: {wanted}. There is no image.", value=look(None))
    if actions:
        return Plan(thoughts=f"Wanted: {wanted}.", actions=actions, value="Let me do that.")
    outcome = next((one for one in _BY_WEIGHT if any(part.outcome == one for part in parts)), "clarify")
    thoughts = f"Wanted: {wanted}. No tool is needed."
    return Plan(thoughts=thoughts, value=_SAID[outcome] or look(row))


def look_plan(row: Row) -> Plan:
    return Plan(thoughts="Wanted: image question. No tool is needed.", value=look(row))


def look(row: Row | None) -> str:
    """What an image shows, in the words of its row; without one, that there is none."""
    if row is None:
        return "There is no image in this conversation yet. Please attach one and ask again."
    if not row.modality:
        return "This does not look like a medical image."
    view = f", {row.view}" if row.view else ""
    seen = ", ".join(dict.fromkeys(row.names[one.structure] for one in row.objects[:3]))
    kind = f"{row.modality} of the {row.anatomy or 'body'}{view}"
    shown = f" I can make out {seen}." if seen else ""
    return f"At a glance, this looks like {kind}.{shown} A glance is no finding."


def _self_contained(example: Example) -> bool:
    return all(part.outcome not in ONLY_MIXED and part.refers == "nothing" for part in example.parts)
