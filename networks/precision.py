"""Half precision on a GPU: weights stay in fp32, and what gains from it is computed in 16 bits (torch.autocast)."""

from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch

HALVES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def computing(device: torch.device, precision: Literal["fp32", "bf16", "fp16"]) -> AbstractContextManager[object]:
    """A context in which networks on `device` compute in that precision."""
    return nullcontext() if precision == "fp32" else torch.autocast(device.type, HALVES[precision])
