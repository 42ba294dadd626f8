"""What of a LLaVA planner's folder is made and not trained: the processor with its vocabulary, and the settings."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaImageProcessor,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)

from mmedagent.protocol.prompts import END_OF_REPLY, IMAGE_TOKEN

CONTROL = ("<pad>", "<s>", END_OF_REPLY, "<unk>", IMAGE_TOKEN)


def llava_processor(texts: Iterable[str], *, words: int, image_size: int, patch: int, single_digits: bool = False,
    whole_lines: bool = False,
) -> Any:  # fmt: skip
    """A processor with a byte-level vocabulary of up to `words`, learnt from the texts, that pads images to a square.

    `single_digits` keeps the digits of a number apart, as the tokenizer of LLaMA does. With `whole_lines` a token may
    span the words of a line (Liu et al., SuperBPE, arXiv 2503.13423), so prompts of few set phrases are very short.
    """
    backend = Tokenizer(models.BPE())
    digits = [pre_tokenizers.Digits(individual_digits=True)] if single_digits else []
    lines = [pre_tokenizers.Split("\n", "isolated")] if whole_lines else []
    pieces = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=not whole_lines)
    backend.pre_tokenizer = pre_tokenizers.Sequence([*digits, *lines, pieces])
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=words,
        special_tokens=list(CONTROL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(texts, trainer)
    start = CONTROL.index("<s>")
    backend.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A $B", special_tokens=[("<s>", start)]
    )
    names = ("pad_token", "bos_token", "eos_token", "unk_token")
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        **dict(zip(names, CONTROL, strict=False)),
        extra_special_tokens={"image_token": IMAGE_TOKEN},
    )
    size = {"height": image_size, "width": image_size}
    return LlavaProcessor(
        image_processor=LlavaImageProcessor(do_pad=True, size={"shortest_edge": image_size}, crop_size=size),
        tokenizer=tokenizer,
        patch_size=patch,
        vision_feature_select_strategy="default",
        image_token=IMAGE_TOKEN,
        num_additional_image_tokens=1,
    )


def llava_config(tokenizer: Any, vision: CLIPVisionConfig, text: LlamaConfig) -> LlavaConfig:
    """LLaVA's own settings (the features of the last layer but one) around those of its two parts."""
    return LlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=tokenizer.convert_tokens_to_ids(IMAGE_TOKEN),
        vision_feature_layer=-2,
        vision_feature_select_strategy="default",
        image_seq_length=(vision.image_size // vision.patch_size) ** 2,
        tie_word_embeddings=text.tie_word_embeddings,
    )
