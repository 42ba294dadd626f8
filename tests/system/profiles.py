"""A profile whose planner follows a script and whose tools are small, for tests that are about processes."""

from __future__ import annotations

from pathlib import Path

from support.script import action, answer, rule, told, write_script

TESTS = Path(__file__).resolve().parents[1]
IMPORTABLE = {"PYTHONPATH": str(TESTS)}
"""What a process needs to find the tools of these tests."""

HELLO = "Say hello."
HELLO_ANSWER = "Hello. There is nothing to look up."
WAIT = "Please wait."
BRIGHT = "How much of it is bright?"

PROFILE = """
label = "Tools of the tests"

[planner]
backend = "scripted"
checkpoint = "script.json"

[tools.waiting]
backend = "system.tools_for_tests:WaitingTool"
checkpoint = "meeting"
concurrency = 2

[tools.bright]
backend = "system.tools_for_tests:BrightTool"
"""


def write_profile(folder: Path) -> Path:
    """Write the profile with its script and the folder in which test and waiting tool meet. Returns its path."""
    rules = [
        rule(HELLO, answer(HELLO_ANSWER)),
        told(WAIT, action("waiting")),
        told(BRIGHT, action("bright")),
    ]
    (folder / "script.json").write_text(write_script(rules), "utf-8")
    profile = folder / "test.toml"
    profile.write_text(PROFILE, "utf-8")
    meeting_of(profile).mkdir()
    return profile


def meeting_of(profile: Path) -> Path:
    return profile.parent / "meeting"
