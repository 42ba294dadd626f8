"""A Qwen2 model in the real Hugging Face format, trained within seconds to call one tool and to answer from its result.

Its chat template shows it the beginning of the last message and nothing else, so a tiny model is enough.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

START, END, PAD = "<|im_start|>", "<|im_end|>", "<pad>"
SEEN = 40
TEMPLATE = (
    f"{START}{{{{ messages[-1]['role'] }}}}\n{{{{ messages[-1]['content'][:{SEEN}] }}}}{END}\n"
    f"{START}assistant{{{{ '\n' }}}}"
)


def write_checkpoint(folder: Path, lessons: Mapping[tuple[str, str], str], steps: int = 300) -> float:
    """A model that writes the value after a last message with the role and the text of the key. Gives the last loss."""
    torch.manual_seed(0)
    prompts = [f"{START}{role}\n{text[:SEEN]}{END}\n{START}assistant\n" for role, text in lessons]
    texts = [f"{prompt}{reply}{END}" for prompt, reply in zip(prompts, lessons.values(), strict=True)]
    tokenizer = _tokenizer(texts)
    model: Any = Qwen2ForCausalLM(_config(tokenizer))
    model.generation_config.update(eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.0)
    batches = [_labelled(tokenizer, prompt, text) for prompt, text in zip(prompts, texts, strict=True)]
    loss = torch.tensor(torch.inf)
    for _ in range(steps):
        loss = torch.stack([model(**batch).loss for batch in batches]).mean()
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        if loss.item() < 0.02:
            break
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return loss.item()


def _labelled(tokenizer: Any, prompt: str, text: str) -> dict[str, torch.Tensor]:
    tokens = tokenizer(text, return_tensors="pt")["input_ids"]
    labels = tokens.clone()
    labels[:, : len(tokenizer(prompt)["input_ids"])] = -100
    return {"input_ids": tokens, "labels": labels}


def _tokenizer(texts: list[str]) -> Any:
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=500,
        special_tokens=[START, END, PAD],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, eos_token=END, pad_token=PAD, chat_template=TEMPLATE, model_max_length=1_024
    )


def _config(tokenizer: Any) -> Qwen2Config:
    return Qwen2Config(
        vocab_size=-(-len(tokenizer) // 64) * 64,
        hidden_size=96,
        intermediate_size=192,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=1_024,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
