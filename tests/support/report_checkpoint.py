"""Small report checkpoints with random weights, whose gate opens or stays shut."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import GPT2Config, VisionEncoderDecoderConfig, ViTConfig

from mmedagent.networks.report_classifier import ChestClassifier, ClassifierConfig
from mmedagent.networks.report_file import save_report_networks
from mmedagent.networks.report_generator import BEGIN, END, PAD, GeneratorConfig, build_generator, special_id
from mmedagent.training.report_text import build_tokenizer

SIDE = 64


def tiny_checkpoint(folder: Path, frontal: bool = True, beams: int = 1) -> Path:
    """A checkpoint whose gate is open to every image, or to none, and whose findings lie around even odds."""
    torch.manual_seed(0)
    seen = ClassifierConfig(size=SIDE, widths=(4, 4, 8, 8))
    classifier = ChestClassifier(seen)
    with torch.no_grad():
        classifier.head.bias[-1] = 20.0 if frontal else -20.0
    tokenizer = build_tokenizer(300)
    begin, end, pad = (special_id(tokenizer, name) for name in (BEGIN, END, PAD))
    encoder = ViTConfig(
        image_size=SIDE, patch_size=16, num_channels=3, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=32,
    )  # fmt: skip
    decoder = GPT2Config(
        vocab_size=tokenizer.get_vocab_size(), n_positions=48, n_embd=16, n_layer=1, n_head=2, add_cross_attention=True,
        is_decoder=True, bos_token_id=begin, eos_token_id=end, pad_token_id=pad,
    )  # fmt: skip
    both = VisionEncoderDecoderConfig.from_encoder_decoder_configs(encoder, decoder)
    written = GeneratorConfig(size=SIDE, channels=3, architecture=both.to_diff_dict(), max_tokens=40, beams=beams)
    save_report_networks(folder, (classifier, seen), [1.0] * 7, (build_generator(written), written), tokenizer)
    return folder
