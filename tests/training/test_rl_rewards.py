"""Rewards of the consultation: half a point for the form, one for the answer, nothing in between."""

import pytest

from mmedagent.training.rl.rewards import accuracy_reward, accuracy_rewards, format_reward, format_rewards, score
from mmedagent.training.rl.verl_reward import compute_score

OPTIONS = ("cyst", "tumour", "no finding", "mass")
RIGHT = "<think>a solid mass</think><answer>B</answer>"


@pytest.mark.parametrize(
    ("reply", "points"),
    [
        (RIGHT, 1.5),
        ("<think>solid</think><answer>tumour</answer>", 1.5),
        ("<think>solid</think>\n<answer> b </answer>\n", 1.5),
        ("<think>solid</think><answer>A</answer>", 0.5),
        ("<think>solid</think><answer>A or B</answer>", 0.5),
        ("<think>solid</think><answer>E</answer>", 0.5),
        ("<answer>B</answer>", 0.0),
        ("B", 0.0),
        ("<think>solid</think><answer></answer>", 0.0),
        ("<think>solid</think><answer>B</answer><answer>A</answer>", 0.0),
        ("The answer is <think>solid</think><answer>B</answer>", 0.0),
    ],
)
def test_points_of_a_reply(reply: str, points: float) -> None:
    assert score(reply, "tumour", OPTIONS) == points
    assert format_reward(reply) + accuracy_reward(reply, "tumour", OPTIONS) == points
    assert compute_score("any", reply, "tumour", {"options": list(OPTIONS)}) == points


def test_without_options_words_are_compared() -> None:
    reply = "<think>histology</think><answer>Pathologist.</answer>"
    assert score(reply, "pathologist") == 1.5
    assert score(reply, "radiologist") == 0.5
    assert compute_score("any", reply, "pathologist") == 1.5


def test_the_form_of_trl() -> None:
    completions = [[{"role": "assistant", "content": RIGHT}], [{"role": "assistant", "content": "B"}]]
    assert format_rewards(completions) == [0.5, 0.0]
    assert accuracy_rewards(completions, ["tumour", "tumour"], [OPTIONS, OPTIONS], prompts=None) == [1.0, 0.0]
    assert accuracy_rewards([RIGHT], ["cyst"], [OPTIONS]) == [0.0]
