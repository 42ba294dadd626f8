"""The two report networks as one that is trained, with its losses."""

from __future__ import annotations

from typing import Any

from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional
from transformers import GPT2Config, SwinConfig, VisionEncoderDecoderConfig

from mmedagent.networks.report_classifier import ChestClassifier, ClassifierConfig
from mmedagent.networks.report_generator import BEGIN, END, PAD, GeneratorConfig, build_generator, special_id
from mmedagent.training.report_text import LENGTH

WIDTH = 192
"""Of the generator's hidden states."""

WEIGHTS = {"findings": 1.0, "gate": 0.3, "maps": 2.0, "places": 2.0, "labels": 0.5, "words": 1.0}
"""What each loss counts for."""


def generator_config(tokenizer: Tokenizer, size: int) -> GeneratorConfig:
    """A small Swin encoder (Liu et al. 2021, arXiv 2103.14030) and a small GPT-2 decoder with cross attention."""
    begin, end, pad = (special_id(tokenizer, name) for name in (BEGIN, END, PAD))
    encoder = SwinConfig(
        image_size=size, patch_size=4, num_channels=1, embed_dim=WIDTH // 4, depths=[2, 2, 4], num_heads=[2, 4, 8],
        window_size=6, drop_path_rate=0.1,
    )  # fmt: skip
    decoder = GPT2Config(
        vocab_size=tokenizer.get_vocab_size(), n_positions=LENGTH, n_embd=WIDTH, n_layer=2, n_head=6,
        add_cross_attention=True, is_decoder=True, bos_token_id=begin, eos_token_id=end, pad_token_id=pad,
        resid_pdrop=0.1, embd_pdrop=0.1, attn_pdrop=0.0,
    )  # fmt: skip
    both = VisionEncoderDecoderConfig.from_encoder_decoder_configs(
        encoder, decoder, decoder_start_token_id=begin, eos_token_id=end, pad_token_id=pad
    )
    architecture: dict[str, Any] = both.to_diff_dict()
    return GeneratorConfig(size=size, channels=1, architecture=architecture, max_tokens=LENGTH - 1, beams=1)


class Learner(nn.Module):
    """Both networks, with two heads on the generator's encoder that are left out of the checkpoint: they make it see
    the findings long before the text alone would."""

    def __init__(self, seen: ClassifierConfig, written: GeneratorConfig, pad: int) -> None:
        super().__init__()
        self.classifier = ChestClassifier(seen)
        self.generator = build_generator(written)
        self.place_head = nn.Linear(WIDTH, len(seen.findings))
        self.label_head = nn.Linear(WIDTH, len(seen.findings) + 1)
        self._pad = pad

    def forward(self, images: Tensor, labels: Tensor, maps: Tensor, tokens: Tensor) -> dict[str, Tensor]:
        """Losses by name; a batch without a chest radiograph has only those of the gate and the labels."""
        chest = labels[:, -1] > 0.5
        seen = self.classifier(images)
        hidden = self.generator.encoder(pixel_values=images).last_hidden_state
        losses = {
            "gate": binary_loss(seen.frontal, labels[:, -1]),
            "labels": binary_loss(self.label_head(hidden.mean(dim=1)), labels),
        }
        if not bool(chest.any()):
            return losses
        losses["findings"] = binary_loss(seen.findings[chest], labels[chest, :-1])
        losses["maps"] = binary_loss(seen.maps[chest], maps[chest])
        side = round(hidden.shape[1] ** 0.5)
        coarse = functional.adaptive_avg_pool2d(maps[chest], side).flatten(2).transpose(1, 2)
        losses["places"] = binary_loss(self.place_head(hidden[chest]), coarse)
        words = tokens[chest]
        logits = self.generator(
            encoder_outputs=(hidden[chest],),
            decoder_input_ids=words[:, :-1],
            decoder_attention_mask=(words[:, :-1] != self._pad).long(),
        ).logits
        losses["words"] = functional.cross_entropy(
            logits.flatten(0, 1).float(), words[:, 1:].flatten(), ignore_index=self._pad
        )
        return losses


def binary_loss(logits: Tensor, truth: Tensor) -> Tensor:
    """Mean cross entropy of logits against truth in [0, 1], in single precision."""
    return functional.binary_cross_entropy_with_logits(logits.float(), truth)
