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
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaImageProcessor,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)

from mmedagent.protocol.plan import PlannerRequest
from mmedagent.protocol.prompts import END_OF_REPLY, IMAGE_TOKEN, render_prompt
from mmedagent.serving.tool import PixelArray

CONTROL = ["<pad>", "<s>", END_OF_REPLY, "<unk>", IMAGE_TOKEN]
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
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=700,
        special_tokens=CONTROL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(texts, trainer)
    backend.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A $B", special_tokens=[("<s>", CONTROL.index("<s>"))]
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        **dict(zip(("pad_token", "bos_token", "eos_token", "unk_token"), CONTROL, strict=False)),
        extra_special_tokens={"image_token": IMAGE_TOKEN},
        model_max_length=1024,
    )
    images = LlavaImageProcessor(
        do_pad=True, size={"shortest_edge": IMAGE_SIZE}, crop_size={"height": IMAGE_SIZE, "width": IMAGE_SIZE}
    )
    return LlavaProcessor(
        image_processor=images,
        tokenizer=tokenizer,
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        image_token=IMAGE_TOKEN,
        num_additional_image_tokens=1,
    )


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
    return LlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=tokenizer.convert_tokens_to_ids(IMAGE_TOKEN),
        vision_feature_layer=-2,
        vision_feature_select_strategy="default",
        image_seq_length=(IMAGE_SIZE // PATCH) ** 2,
        tie_word_embeddings=False,
    )
