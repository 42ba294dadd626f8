"""Fit tensors into a network of transformers, strictly."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from mmedagent.networks.checkpoints import CheckpointError, misfit
from mmedagent.networks.layouts import META


def fit_pretrained(
    kind: Any, config: Any, state: Mapping[str, Tensor], device: str = "cpu", unused: frozenset[str] = frozenset()
) -> Any:
    """Fit a state into a network of transformers, under any of the names that its files have had, strictly.

    transformers renames tensors as it reads them, and only reports what was left over; here that is an error.

    Args:
        kind: the network's class.
        config: its configuration.
        state: names to tensors as in the file.
        device: where the network comes to be; on "meta" nothing is allocated.
        unused: tensors of the network that files may leave out because nothing reads them.

    Returns:
        the network in float32 and evaluation mode.

    Raises:
        CheckpointError: keys are missing or unexpected, or a shape differs; the message names them.
    """
    from transformers.utils import logging  # transformers takes a second to import

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        network, report = kind.from_pretrained(
            None, config=config, state_dict=dict(state), dtype=torch.float32,
            device_map=META if device == META else None,
            local_files_only=True, output_loading_info=True, ignore_mismatched_sizes=True,
        )  # fmt: skip
    except (ValueError, RuntimeError, TypeError, KeyError) as error:
        raise CheckpointError(f"checkpoint does not fit {kind.__name__}: {type(error).__name__}") from error
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
    missing = sorted(set(report["missing_keys"]) - unused)
    misshapen = sorted(f"{key} {tuple(found)} instead of {tuple(own)}" for key, found, own in report["mismatched_keys"])
    unexpected = sorted(report["unexpected_keys"])
    if missing or unexpected or misshapen:
        raise CheckpointError(misfit(kind.__name__, missing, unexpected, misshapen))
    return network
