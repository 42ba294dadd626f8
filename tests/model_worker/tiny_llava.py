"""A LLaVA planner's checkpoint folder in the real Hugging Face format, small enough to make and train in a test."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import (
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
)

from mmedagent.model_worker.llava.checkpoint import read_manifest
from mmedagent.model_worker.llava.weights import LoadedLlava, load_llava
from mmedagent.networks.llava_parts import llava_config, llava_processor
from mmedagent.protocol.plan import PlannerRequest
from mmedagent.protocol.prompts import END_OF_REPLY, render_prompt
from mmedagent.serving.tool import PixelArray

IMAGE_SIZE, PATCH = 28, 14
TARGETS = r".*language_model.*\.(q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj)"


@dataclass(frozen=True)
class Lesson:
    """What the planner is to write after the prompt of a request, or after `start` where it goes on from there."""

    request: PlannerRequest
    frame: PixelArray | None
    reply: str
    start: str = ""
    correction: str | None = None


def write_checkpoint(
    folder: Path, lessons: Sequence[Lesson], *, rank: int = 32, seed: int = 0, constrained: bool = False
) -> None:
    """A random LLaVA in `base`, a LoRA adapter that does nothing yet in `adapter`, and the `planner.json` of both."""
    torch.manual_seed(seed)
    processor = tiny_processor([f"{_prompt(lesson)} {lesson.reply}" for lesson in lessons])
    model = LlavaForConditionalGeneration(_config(processor.tokenizer))
    model.generation_config.eos_token_id = processor.tokenizer.eos_token_id
    model.save_pretrained(folder / "base")
    processor.save_pretrained(folder / "base")
    config = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=TARGETS, task_type="CAUSAL_LM")
    get_peft_model(model, config).save_pretrained(folder / "adapter")
    manifest = {"name": "tiny", "version": "1.0.0", "base": "base", "adapter": "adapter", "max_new_tokens": 200}
    (folder / "planner.json").write_text(json.dumps({**manifest, "constrained": constrained}))


def train_adapter(folder: Path, lessons: Sequence[Lesson], *, steps: int, loss_below: float, seed: int = 0) -> float:
    """Fit the folder's adapter to the lessons with AdamW on the tokens of the replies. Gives the last loss."""
    torch.manual_seed(seed)
    processor = LlavaProcessor.from_pretrained(folder / "base", local_files_only=True)
    base = LlavaForConditionalGeneration.from_pretrained(folder / "base", local_files_only=True)
    model = get_peft_model(base, LoraConfig.from_pretrained(str(folder / "adapter")))
    for name, parameter in model.named_parameters():
        parameter.requires_grad_("lora_" in name)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=4e-3, weight_decay=0.0)
    batches = [_encoded(processor, lesson) for lesson in lessons]
    loss = torch.tensor(torch.inf)
    for _ in range(steps):
        loss = torch.stack([model(**batch).loss for batch in batches]).mean()
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        if loss.item() < loss_below:
            break
    model.save_pretrained(folder / "adapter")
    return loss.item()


def next_logits(model: Any, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """The model's own scores of the token after a whole input, read at once, shape (vocabulary,)."""
    with torch.inference_mode():
        logits: torch.Tensor = model(**inputs, use_cache=False, logits_to_keep=1).logits
    return logits[0, -1].float()


def edit_json(path: Path, **changes: object) -> None:
    """Change fields of a JSON object in its file."""
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def edit_tensors(path: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    """Change the tensors of a safetensors file."""
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path, metadata={"format": "pt"})


def _prompt(lesson: Lesson) -> str:
    prompt = render_prompt(lesson.request, has_image=lesson.frame is not None, correction=lesson.correction)
    return f"{prompt} {lesson.start}" if lesson.start else prompt


def _encoded(processor: Any, lesson: Lesson) -> dict[str, torch.Tensor]:
    images = None if lesson.frame is None else [Image.fromarray(lesson.frame).convert("RGB")]
    prompt = processor(text=[_prompt(lesson)], images=images, return_tensors="pt")
    text = f"{_prompt(lesson)} {lesson.reply}{END_OF_REPLY}"
    batch = dict(processor(text=[text], images=images, return_tensors="pt"))
    labels = batch["input_ids"].clone()
    labels[:, : prompt["input_ids"].shape[1]] = -100
    return {**batch, "labels": labels}


def tiny_processor(texts: list[str]) -> Any:
    """A processor whose byte-level vocabulary was learnt from the texts."""
    processor = llava_processor(texts, words=700, image_size=IMAGE_SIZE, patch=PATCH, single_digits=False)
    processor.tokenizer.model_max_length = 1024
    return processor


def _config(tokenizer: Any) -> LlavaConfig:
    ids = {
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    vision = CLIPVisionConfig(
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=IMAGE_SIZE,
        patch_size=PATCH,
        projection_dim=32,
    )
    text = LlamaConfig(
        vocab_size=-(-len(tokenizer) // 64) * 64,
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=1024,
        tie_word_embeddings=False,
        initializer_range=0.1,
        **ids,
    )
    return llava_config(tokenizer, vision, text)


def load_in_double(folder: Path) -> LoadedLlava:
    """In double precision, in which no two random scores are so close that rounding decides between them."""
    made = load_llava(folder, read_manifest(folder), "cpu")
    made.model.double()
    return made
