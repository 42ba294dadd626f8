"""The folder of a LLaVA planner at the size of LLaVA-Med with MMedAgent's adapter, as holes in the disk."""

from __future__ import annotations

from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model, get_peft_model_state_dict
from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration

from support.layout_files import names_on_disk, write_json, write_safetensors, write_shards

TARGETS = r".*language_model.*\.(q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj)"
CLIP_L_336 = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "image_size": 336,
    "patch_size": 14,
    "projection_dim": 768,
}


def write_llava_med(folder: Path) -> None:
    """LLaMA of 7 billion parameters, CLIP ViT-L/14 at 336 pixels, and LoRA factors of rank 128 (14.4 GB of holes)."""
    base, adapter = folder / "base", folder / "adapter"
    base.mkdir(parents=True)
    text = LlamaConfig(vocab_size=32_064, max_position_embeddings=4096, tie_word_embeddings=False)
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(**CLIP_L_336),
        text_config=text,
        image_token_index=32_000,
        tie_word_embeddings=False,
    )
    with torch.device("meta"):
        network = LlavaForConditionalGeneration(config)
    config.save_pretrained(base)
    write_shards(base, names_on_disk(network), shards=3)

    lora = LoraConfig(r=128, lora_alpha=256, target_modules=TARGETS, task_type="CAUSAL_LM")
    network.name_or_path = str(base)
    with torch.device("meta"):
        factors = get_peft_model_state_dict(get_peft_model(network, lora, autocast_adapter_dtype=False))
    lora.save_pretrained(str(adapter))
    shapes = {name: tuple(tensor.shape) for name, tensor in factors.items()}
    write_safetensors(adapter / "adapter_model.safetensors", shapes)
    write_json(
        folder / "planner.json",
        name="llava-med-mmedagent",
        version="1.0.0",
        base="base",
        adapter="adapter",
        max_new_tokens=512,
    )
