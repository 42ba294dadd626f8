"""Scripts for the scripted planner: what it does when the user's message contains a text."""

from __future__ import annotations

from mmedagent.model_worker.scripted import ScriptRule
from mmedagent.protocol.plan import Action, Plan


def action(name: str, **parameters: object) -> Action:
    return Action.model_validate({"API_name": name, "API_params": parameters})


def plan(*actions: Action, thoughts: str = "I will look.", value: str = "One moment.") -> Plan:
    return Plan(thoughts=thoughts, actions=actions, value=value)


def answer(text: str, thoughts: str = "I have seen it.") -> Plan:
    return Plan(thoughts=thoughts, value=text)


def rule(contains: str, *plans: Plan) -> ScriptRule:
    return ScriptRule(contains=contains, plans=plans)


def told(contains: str, *actions: Action) -> ScriptRule:
    """One round of actions, and an answer that quotes every outcome."""
    numbers = " ".join(f"{{{number}}}" for number in range(1, len(actions) + 1))
    return rule(contains, plan(*actions), answer(f"Outcomes: {numbers}"))


def write_script(rules: list[ScriptRule]) -> str:
    return "[" + ",".join(one.model_dump_json() for one in rules) + "]"
