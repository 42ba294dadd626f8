"""The doctors of the small consultation network: one base, and a LoRA adapter for each role.

A folder holds `questions.json`, `base`, and a folder under `adapters` for triage, the attending physician and every
specialty. The image tower is that of the planner's folder.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mmedagent.networks.checkpoints import CheckpointError, load_state, sha256_file
from mmedagent.networks.consultation_net import WEIGHTS, load_consultation
from mmedagent.networks.consultation_questions import QUESTIONS, Questions, read_questions
from mmedagent.networks.consultation_words import messages
from mmedagent.networks.glance import Glance, LoadedGlance, glance_input, load_glance
from mmedagent.protocol.consultation import SPECIALTIES

BASE, ADAPTERS = "base", "adapters"
TRIAGE, ATTENDING = "triage", "attending"
REMEMBERED = 64
"""Images whose features are kept: all doctors of a panel look at the same one."""

ROLES = (TRIAGE, ATTENDING, *SPECIALTIES)
ADAPTER_FILES = ADAPTER_WEIGHTS, ADAPTER_CONFIG = ("adapter_model.safetensors", "adapter_config.json")


@dataclass(frozen=True)
class Written:
    """A reply, and how probable the network held just this one, 0 to 1."""

    text: str
    probability: float


@dataclass(frozen=True)
class Sampling:
    """How a reply is drawn: `temperature` above 0, and a seed for the same draw again."""

    temperature: float
    seed: int


@torch.no_grad()  # What the image tower remembers is used in training, too.
def written(
    model: Any,
    processor: Any,
    prompts: Sequence[str],
    pictures: NDArray[np.uint8],
    tokens: int,
    sampling: Sampling | None = None,
) -> list[Written]:
    """Replies of at most so many tokens to each prompt about the picture, uint8 (n, 128, 128, 3), at the same place.

    The most probable tokens, unless they are sampled.
    """
    model.eval()
    texts = processor.apply_chat_template(
        [messages(one) for one in prompts], add_generation_prompt=True, tokenize=False
    )
    inputs = processor(text=texts, images=list(pictures), padding=True, return_tensors="pt")
    drawn: dict[str, Any] = {"do_sample": False}
    if sampling is not None:
        torch.manual_seed(sampling.seed)
        drawn = {"do_sample": True, "temperature": sampling.temperature, "top_k": 0}
    made = model.generate(**inputs, max_new_tokens=tokens, output_logits=True, return_dict_in_generate=True, **drawn)
    new = made.sequences[:, inputs["input_ids"].shape[1] :]
    chances = torch.stack(made.logits, dim=1).log_softmax(-1).gather(-1, new[..., None])[..., 0]
    # Behind the end of a reply there is padding.
    over = (new == processor.tokenizer.eos_token_id).cumsum(-1) > 1
    padded = (new == processor.tokenizer.pad_token_id) | over
    whole = chances.masked_fill(padded, 0.0).sum(-1).exp()
    said = processor.batch_decode(new, skip_special_tokens=True)
    return [Written(text, float(chance)) for text, chance in zip(said, whole, strict=True)]


class PanelNetwork:
    """All doctors of a folder on the CPU. Several threads may ask at once; they are answered one after the other."""

    def __init__(self, questions: Questions, glance: LoadedGlance, adapted: Any, processor: Any) -> None:
        self.questions = questions
        self._glance = glance
        self._adapted = adapted
        self._processor = processor
        self._one_at_a_time = Lock()

    @torch.inference_mode()
    def glance(self, frame: NDArray[np.uint8]) -> Glance:
        """What the image tower makes of a display frame, uint8 (H, W) or (H, W, 3)."""
        return self._glance.at(frame)

    def write(
        self,
        role: str,
        prompts: Sequence[str],
        frames: Sequence[NDArray[np.uint8]],
        tokens: int,
        sampling: Sampling | None = None,
    ) -> list[Written]:
        """The replies of one of `ROLES`, or of the `BASE` alone, to each prompt about the frame at its place."""
        pictures = np.stack([panel_picture(frame) for frame in frames])
        with self._one_at_a_time, self._adapted.disable_adapter() if role == BASE else nullcontext():
            if role != BASE:
                self._adapted.set_adapter(role, inference_mode=True)
            return written(self._adapted, self._processor, prompts, pictures, tokens, sampling)


def panel_picture(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A display frame as the network looks at it: uint8 (128, 128, 3), padded to a square."""
    values: NDArray[np.float32] = glance_input(frame).permute(1, 2, 0).numpy()
    return (values * 255).round().astype(np.uint8)


def load_panel_network(folder: Path, planner: Path) -> PanelNetwork:
    """Raises `CheckpointError` when anything is missing, or was trained on another image tower than the planner's."""
    questions, glance = read_questions(folder), load_glance(planner)
    if glance.config.sha256 != questions.tower_sha256:
        raise CheckpointError("the consultation was trained on another image tower than that of the planner's folder")
    model, processor = load_consultation(folder / BASE, planner)
    model.model.vision_tower.remembered = REMEMBERED
    return PanelNetwork(questions, glance, _adapted(model, folder / ADAPTERS), processor)


def panel_hashes(folder: Path) -> dict[str, str]:
    """What the replies of each role depend on, as a sha256. Raises `CheckpointError`."""
    shared = [sha256_file(folder / name) for name in (QUESTIONS, f"{BASE}/{WEIGHTS}", f"{BASE}/tokenizer.json")]
    found = {}
    for role in ROLES:
        own = [sha256_file(folder / ADAPTERS / role / name) for name in ADAPTER_FILES]
        found[role] = hashlib.sha256(" ".join([*shared, *own]).encode()).hexdigest()
    return found


def _adapted(model: Any, folder: Path) -> Any:
    """The model with the adapters of all roles, each under its name."""
    from peft import PeftModel, get_peft_model_state_dict

    adapted: Any = None
    for role in ROLES:
        weights = load_state(folder / role / ADAPTER_WEIGHTS)
        try:
            with warnings.catch_warnings():
                # What peft warns of is checked below.
                warnings.simplefilter("ignore")
                if adapted is None:
                    adapted = PeftModel.from_pretrained(model, str(folder / role), adapter_name=role)
                else:
                    adapted.load_adapter(str(folder / role), adapter_name=role)
        except (OSError, ValueError, RuntimeError, TypeError) as error:
            raise CheckpointError(f"the adapter {role} of the consultation does not fit") from error
        own = get_peft_model_state_dict(adapted, adapter_name=role)
        if own.keys() != weights.keys() or not all(bool(torch.isfinite(one).all()) for one in weights.values()):
            raise CheckpointError(f"the adapter {role} of the consultation does not fit, or holds no finite numbers")
    return adapted.eval()
