"""A stored turn is a response to the outside: the two have one id, there with a prefix."""

_PREFIX = "resp_"


def response_id(turn_id: str) -> str:
    return f"{_PREFIX}{turn_id}"


def turn_id_of(response_id: str) -> str:
    return response_id.removeprefix(_PREFIX)
