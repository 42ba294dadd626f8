"""Small random checkpoints in the layouts of the original code: LLaVA-Med 1.0 and 1.5, a CLIP, and MMedAgent's LoRA."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import save_file
from sentencepiece import SentencePieceProcessor, SentencePieceTrainer
from torch import Tensor

from support.llava_reference import TOWER

State = dict[str, Tensor]
LINEAR = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
CLIP: dict[str, Any] = {
    "hidden_size": 128,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "image_size": 28,
    "patch_size": 14,
    "hidden_act": "quick_gelu",
    "layer_norm_eps": 1e-5,
    "num_channels": 3,
    "projection_dim": 16,
}
COMMON: dict[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 112,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "hidden_act": "silu",
    "rms_norm_eps": 1e-6,
    "max_position_embeddings": 1024,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "tie_word_embeddings": False,
    "mm_hidden_size": 128,
    "mm_vision_select_layer": -2,
    "mm_vision_tower": "openai/clip-vit-tiny-patch14-28",
}
LLAVA_MED_1_0 = COMMON | {
    "architectures": ["LlavaLlamaForCausalLM"],
    "model_type": "llava",
    "mm_use_im_start_end": True,
    "use_mm_proj": True,
}
LLAVA_MED_1_5 = COMMON | {
    "architectures": ["LlavaMistralForCausalLM"],
    "model_type": "llava_mistral",
    "num_key_value_heads": 2,
    "rms_norm_eps": 1e-5,
    "rope_theta": 1_000_000.0,
    "sliding_window": None,
    "mm_projector_type": "mlp2x_gelu",
    "mm_vision_select_feature": "patch",
    "mm_use_im_start_end": False,
    "mm_use_im_patch_token": False,
    "image_aspect_ratio": "pad",
}
MMEDAGENT = LLAVA_MED_1_0 | {
    "mm_projector_type": "mlp2x_gelu",
    "mm_vision_tower": "openai/clip-vit-tiny-patch14-28",
    "mm_use_im_start_end": False,
    "mm_use_im_patch_token": False,
    "image_aspect_ratio": "pad",
}
"""`config.json` beside MMedAgent's LoRA: the model as its training changed it."""

LLAVA_MED_1_0_TOKENS = ("[PAD]", "<im_patch>", "<im_start>", "<im_end>")
Format = Literal["safetensors", "bin"]


@dataclass(frozen=True)
class Words:
    """A tokenizer: its SentencePiece model, and the tokens that were added to it."""

    proto: bytes
    added: tuple[str, ...] = ()
    settings: Mapping[str, object] = field(default_factory=dict)

    @property
    def pieces(self) -> SentencePieceProcessor:
        return SentencePieceProcessor(model_proto=self.proto)

    @property
    def numbers(self) -> dict[str, int]:
        """The added tokens and their ids."""
        return {token: self.pieces.get_piece_size() + place for place, token in enumerate(self.added)}

    @property
    def size(self) -> int:
        return self.pieces.get_piece_size() + len(self.added)


def learn_words(texts: Iterable[str], *, size: int = 400, kind: str = "bpe") -> Words:
    """A byte-pair model with byte fallback and the control tokens of LLaMA, learnt from texts."""
    written = io.BytesIO()
    SentencePieceTrainer.train(
        sentence_iterator=iter(list(texts) * 3),
        model_writer=written,
        model_type=kind,
        vocab_size=size,
        hard_vocab_limit=False,
        byte_fallback=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        pad_id=-1,
        unk_id=0,
        bos_id=1,
        eos_id=2,
        minloglevel=3,
    )
    return Words(written.getvalue())


def random_model(config: Mapping[str, Any], vocabulary: int, *, seed: int = 0) -> State:
    """Language model and projector under their original names, without a vision tower."""
    draw = torch.Generator().manual_seed(seed)
    width, inner = config["hidden_size"], config["intermediate_size"]
    shared = (
        width // config["num_attention_heads"] * (config.get("num_key_value_heads") or config["num_attention_heads"])
    )
    shapes = {"model.embed_tokens.weight": (vocabulary, width), "lm_head.weight": (vocabulary, width)}
    for layer in range(config["num_hidden_layers"]):
        sizes = dict(zip(LINEAR, ((width, width), (shared, width), (shared, width), (width, width)), strict=False))
        sizes |= {"gate_proj": (inner, width), "up_proj": (inner, width), "down_proj": (width, inner)}
        for name, shape in sizes.items():
            shapes[f"model.layers.{layer}.{'self_attn' if name[0] in 'qkvo' else 'mlp'}.{name}.weight"] = shape
    state = {name: _matrix(shape, draw) for name, shape in shapes.items()}
    for layer in range(config["num_hidden_layers"]):
        for norm in ("input_layernorm", "post_attention_layernorm"):
            state[f"model.layers.{layer}.{norm}.weight"] = 1 + 0.2 * torch.randn(width, generator=draw)
    state["model.norm.weight"] = 1 + 0.2 * torch.randn(width, generator=draw)
    return state | random_projector(config, seed=seed)


def random_projector(config: Mapping[str, Any], *, seed: int = 0) -> State:
    draw = torch.Generator().manual_seed(seed + 1)
    width, patch = config["hidden_size"], config["mm_hidden_size"]
    layers = {"0.": (width, patch), "2.": (width, width)} if "mm_projector_type" in config else {"": (width, patch)}
    state: State = {}
    for place, shape in layers.items():
        state[f"model.mm_projector.{place}weight"] = _matrix(shape, draw)
        state[f"model.mm_projector.{place}bias"] = 0.5 * torch.randn(shape[0], generator=draw)
    return state


def random_tower(*, seed: int = 0) -> State:
    """A CLIP's vision model under the names that it has among LLaVA's weights."""
    draw = torch.Generator().manual_seed(seed + 2)
    width, inner, patch = CLIP["hidden_size"], CLIP["intermediate_size"], CLIP["patch_size"]
    state = {
        "embeddings.class_embedding": torch.randn(width, generator=draw),
        "embeddings.patch_embedding.weight": 0.1 * torch.randn(width, 3, patch, patch, generator=draw),
        "embeddings.position_embedding.weight": torch.randn(
            (CLIP["image_size"] // patch) ** 2 + 1, width, generator=draw
        ),
    }
    norms = ["pre_layrnorm", "post_layernorm"]
    for layer in range(CLIP["num_hidden_layers"]):
        prefix = f"encoder.layers.{layer}."
        norms += [f"{prefix}layer_norm1", f"{prefix}layer_norm2"]
        sizes = {f"self_attn.{part}_proj": (width, width) for part in ("q", "k", "v", "out")}
        for name, shape in (sizes | {"mlp.fc1": (inner, width), "mlp.fc2": (width, inner)}).items():
            state[f"{prefix}{name}.weight"] = _matrix(shape, draw)
            state[f"{prefix}{name}.bias"] = 0.5 * torch.randn(shape[0], generator=draw)
    for norm in norms:
        state[f"{norm}.weight"] = 1 + 0.2 * torch.randn(width, generator=draw)
        state[f"{norm}.bias"] = 0.2 * torch.randn(width, generator=draw)
    return {f"{TOWER}{name}": tensor for name, tensor in state.items()}


def random_lora(config: Mapping[str, Any], *, rank: int = 8, seed: int = 0) -> State:
    """Factors on every linear layer of the language model, as peft called them when MMedAgent was trained."""
    draw = torch.Generator().manual_seed(seed + 3)
    factors: State = {}
    for name, tensor in random_model(config, 8).items():
        if name.split(".")[-2] in LINEAR:
            outputs, inputs = tensor.shape
            module = f"base_model.model.{name.removesuffix('.weight')}"
            factors[f"{module}.lora_A.weight"] = _matrix((rank, inputs), draw)
            factors[f"{module}.lora_B.weight"] = 0.3 * _matrix((outputs, rank), draw)
    return factors


def write_model(
    folder: Path,
    config: Mapping[str, Any],
    state: State,
    words: Words,
    *,
    form: Format = "safetensors",
    shards: int = 1,
) -> None:
    """A whole model's folder, with the tables that older versions of LLaMA kept among the weights."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({**config, "vocab_size": words.size}))
    buffers = {f"model.layers.{layer}.self_attn.rotary_emb.inv_freq": torch.ones(8) for layer in range(2)}
    write_weights(folder, state | (buffers if form == "bin" else {}), form, shards)
    write_words(folder, words)


def write_words(folder: Path, words: Words) -> None:
    (folder / "tokenizer.model").write_bytes(words.proto)
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "LlamaTokenizer", **words.settings}))
    if words.added:
        (folder / "added_tokens.json").write_text(json.dumps(words.numbers))


def write_clip(folder: Path, tower: State, *, form: Format = "bin") -> None:
    """The folder of a whole CLIP, of which LLaVA reads the vision model."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"model_type": "clip", "vision_config": CLIP, "text_config": {}}))
    settings = {"image_mean": [0.4, 0.5, 0.6], "image_std": [0.2, 0.25, 0.3], "crop_size": CLIP["image_size"]}
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    state = {f"vision_model.{name.removeprefix(TOWER)}": tensor for name, tensor in tower.items()}
    state["vision_model.embeddings.position_ids"] = torch.arange(5)[None]
    state |= {"text_model.final_layer_norm.weight": torch.ones(4), "text_projection.weight": torch.ones(4, 4)}
    state |= {"visual_projection.weight": torch.ones(4, 4), "logit_scale": torch.tensor(1.0)}
    write_weights(folder, state, form, 1)


def write_lora(
    folder: Path,
    config: Mapping[str, Any] | None,
    factors: State,
    trained: State,
    *,
    form: Format = "bin",
    **settings: object,
) -> None:
    """A folder as MMedAgent's training writes it. `trained` are whole tensors that were trained beside the factors."""
    folder.mkdir(parents=True)
    if config is not None:
        (folder / "config.json").write_text(json.dumps(config))
    rank = next(tensor.shape[0] for name, tensor in factors.items() if "lora_A" in name)
    described = {
        "base_model_name_or_path": "./base_model",
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": True,
        "init_lora_weights": True,
        "layers_to_transform": None,
        "lora_alpha": 2 * rank,
        "lora_dropout": 0.05,
        "modules_to_save": None,
        "peft_type": "LORA",
        "r": rank,
        "target_modules": list(LINEAR),
        "task_type": "CAUSAL_LM",
    }
    (folder / "adapter_config.json").write_text(json.dumps({**described, **settings}))
    if form == "bin":
        torch.save(factors, folder / "adapter_model.bin")
    else:
        save_file(factors, folder / "adapter_model.safetensors")
    if trained:
        torch.save(
            {f"base_model.model.{name}": tensor for name, tensor in trained.items()}, folder / "non_lora_trainables.bin"
        )


def write_weights(folder: Path, state: State, form: Format, shards: int) -> None:
    """One file, or several and their index, as transformers wrote them."""
    stem, suffix = ("model", "safetensors") if form == "safetensors" else ("pytorch_model", "bin")
    names = [f"{stem}.{suffix}"]
    if shards > 1:
        names = [f"{stem}-{number + 1:05d}-of-{shards:05d}.{suffix}" for number in range(shards)]
        places = {key: names[place * shards // len(state)] for place, key in enumerate(state)}
        (folder / f"{stem}.{suffix}.index.json").write_text(json.dumps({"metadata": {}, "weight_map": places}))
    for number, name in enumerate(names):
        part = {
            key: tensor for place, (key, tensor) in enumerate(state.items()) if place * shards // len(state) == number
        }
        if form == "safetensors":
            save_file(part, folder / name)
        else:
            torch.save(part, folder / name)


def _matrix(shape: tuple[int, ...], draw: torch.Generator) -> Tensor:
    scale: float = shape[-1] ** 0.5
    return torch.randn(shape, generator=draw) / scale
