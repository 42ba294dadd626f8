"""The benchmarks by name, and the figures that the paper states for them."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from importlib import resources

from mmedagent.evaluation.vqa.cases import Benchmark
from mmedagent.evaluation.vqa.general import MmmuMedicine, OmniMedVqa, PathVqa, PmcVqa
from mmedagent.evaluation.vqa.radiology import Slake, VqaRad
from mmedagent.protocol.errors import NotFoundError

_ALL: tuple[Benchmark, ...] = (VqaRad(), Slake(), PathVqa(), OmniMedVqa(), MmmuMedicine(), PmcVqa())
NAMES = tuple(benchmark.name for benchmark in _ALL)


def benchmark_of(name: str) -> Benchmark:
    """Raises `NotFoundError`, which lists the names there are."""
    for benchmark in _ALL:
        if benchmark.name == name:
            return benchmark
    raise NotFoundError(f"There is no benchmark {name}. There are: {', '.join(NAMES)}.")


def published(name: str) -> Mapping[str, float]:
    """Accuracy in percent by system, as stated in MMedAgent-RL (arXiv 2506.00555, Table 1); empty where it has none."""
    text = resources.files(__package__).joinpath("published.toml").read_text("utf-8")
    found: Mapping[str, float] = tomllib.loads(text).get(name, {})
    return found
