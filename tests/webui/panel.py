"""A panel of doctors whose words were all written beforehand, as a profile. Its label says so on every result."""

from __future__ import annotations

from pathlib import Path

from mmedagent.model_worker.scripted import ScriptRule
from support.doctors import because
from support.script import action, answer, plan, rule, write_script

SECOND_OPINION = "Get a second opinion from the panel: is the round structure a cyst or a solid mass?"
QUESTION = "Is the round structure a cyst or a solid mass?"
OPTIONS = ["cyst", "solid mass", "cannot tell"]
PROFILE = """
label = "scripted panel: these words were written beforehand, no model was asked"
[planner]
backend = "scripted"
checkpoint = "script.json"
concurrency = 4
[tools.consultation]
checkpoint = "panel"
"""
SEATS = ("radiologist", "oncologist", "surgeon")
SEAT = """
[[specialists]]
name = "Scripted {seat}"
specialty = "{seat}"
"""
SAID = {
    "experienced radiologist": because("cyst", "The edge is smooth and the density is even."),
    "experienced oncologist": because("cannot tell", "One slice without contrast is too little."),
    "experienced surgeon": because("cyst", "Nothing grows into its surroundings."),
    "attending physician": because("cyst", "Edge and density speak for it; contrast would settle it."),
    "receives patients": because("radiologist", "It is a question about a CT slice."),
}


def write_panel_profile(folder: Path) -> Path:
    """Write profile, script and panel into a folder, and return the profile's path."""
    asked = action("consultation", question=QUESTION, options=OPTIONS)
    thoughts = "Several opinions are wanted, so the panel is asked."
    told = answer("The panel is a script; it says cyst, as two of its three specialists do [1].", "They have answered.")
    rules = [rule("second opinion", plan(asked, thoughts=thoughts, value="I ask the panel."), told)]
    rules += [ScriptRule(contains=words, completion=reply) for words, reply in SAID.items()]
    (folder / "panel").mkdir(parents=True)
    (folder / "panel" / "panel.toml").write_text("".join(SEAT.format(seat=seat) for seat in SEATS), "utf-8")
    (folder / "script.json").write_text(write_script(rules), "utf-8")
    path = folder / "profile.toml"
    path.write_text(PROFILE, "utf-8")
    return path
