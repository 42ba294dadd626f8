"""A first message in other words: a question beside the first one of a conversation."""

from __future__ import annotations

from pathlib import Path

from support.problems import assert_problem
from support.script import answer, rule
from support.system import running_system


def test_a_question_can_stand_beside_the_first(tmp_path: Path) -> None:
    with running_system(tmp_path, [rule("", answer("Fine."))]) as system:
        first = system.respond("One.").json()
        conversation = first["conversation"]["id"]
        system.respond("Two.", conversation=conversation)
        anew = system.respond("Uno.", conversation=conversation, begin_anew=True).json()
        assert anew["previous_response_id"] is None
        rows = system.http.get(f"/v1/conversations/{conversation}/turns").json()["data"]
        assert [(row["question"], row["parent"]) for row in rows] == [
            ("One.", None),
            ("Two.", first["id"]),
            ("Uno.", None),
        ]
        unknown = system.respond("Hm.", conversation="conv_unknown", begin_anew=True)
        assert_problem(unknown, 404, "not_found")
