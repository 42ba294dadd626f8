"""Contrastive image-text models in the folder layout of BiomedCLIP (Zhang et al. 2023, arXiv 2303.00915), read offline.

A folder holds `open_clip_config.json`, the weights and a tokenizer. The network is open_clip's `CustomTextCLIP`: a timm
vision tower and a BERT text tower, each projected to a common space. Nothing is ever fetched: the architecture of the
text tower, which the published folder only names by its hub id, comes from `text_config/config.json` where that exists
and is otherwise inferred from the shapes of the weights.

A folder may refer to MiniLM instead of carrying a text tower of its own (`"text_base": {"sha256": ...}` in
`open_clip_config.json`). Its weights file then holds everything but the tensors of MiniLM.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from open_clip import CustomTextCLIP
from open_clip.transform import PreprocessCfg, image_transform_v2, merge_preprocess_dict
from PIL import Image
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import BertProcessing
from torch import Tensor
from transformers.models.bert.configuration_bert import BertConfig

from mmedagent.networks.checkpoints import CheckpointError, load_state, load_strict, read_json, sha256_file
from mmedagent.networks.minilm import MINILM_SHA256, load_tokenizer, minilm_folder

CONFIG_FILE = "open_clip_config.json"
WEIGHT_FILES = (
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.safetensors",
    "model.safetensors",
    "open_clip_pytorch_model.bin",
)
"""Names of the weights, in the order in which they are looked for."""

TEXT_PREFIX = "text.transformer."
DEFAULT_CONTEXT = 256
_LEGACY_BUFFERS = frozenset({f"{TEXT_PREFIX}embeddings.position_ids"})
_HEAD_WIDTH = 64
_BATCH = 16


class ClipModel:
    """Images and texts to unit vectors in one space; the cosine times `logit_scale` is the logit of a pair.

    Attributes:
        network: the open_clip network in evaluation mode.
        tokenizer: pads a batch to its longest text and cuts texts at the model's context length.
        checkpoint_sha256: sha256 of the weights file.
        preprocessing: one line on how pixels are prepared.
    """

    def __init__(
        self, network: CustomTextCLIP, tokenizer: Tokenizer, preprocess: PreprocessCfg, checkpoint_sha256: str
    ) -> None:
        self.network = network.eval()
        self.tokenizer = tokenizer
        self.checkpoint_sha256 = checkpoint_sha256
        self.preprocessing = (
            f"RGB, {preprocess.resize_mode} resize to {preprocess.size}, {preprocess.interpolation}, "
            f"mean {preprocess.mean}, std {preprocess.std}"
        )
        self._prepare = image_transform_v2(preprocess, is_train=False)

    @property
    def device(self) -> torch.device:
        device: torch.device = self.network.logit_scale.device
        return device

    @property
    def logit_scale(self) -> float:
        """The factor on cosines, learnt in training (CLIP's inverse temperature); above 0."""
        return float(self.network.logit_scale.detach().exp())

    def to(self, device: str | torch.device) -> "ClipModel":
        self.network.to(device)
        return self

    def prepare(self, image: NDArray[np.uint8]) -> Tensor:
        """Pixels, uint8 (H, W) grey or (H, W, 3) RGB, to the network's input, float32 (3, size, size)."""
        prepared: Tensor = self._prepare(Image.fromarray(image).convert("RGB"))
        return prepared

    @torch.inference_mode()
    def encode_images(self, images: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Embeds images, uint8 (H, W) or (H, W, 3) of any size; returns float32 (n, d), rows of length 1."""
        rows: list[NDArray[np.float32]] = []
        for start in range(0, len(images), _BATCH):
            batch = torch.stack([self.prepare(image) for image in images[start : start + _BATCH]])
            rows.append(self.network.encode_image(batch.to(self.device), normalize=True).float().cpu().numpy())
        return np.concatenate(rows) if rows else np.empty((0, self.network.text.output_dim), np.float32)

    @torch.inference_mode()
    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embeds texts; returns float32 (n, d), rows of length 1.

        Texts of like length go together and padding ends at the longest of them: the towers mask padding, so this
        changes the time and not the result.
        """
        vectors = np.empty((len(texts), self.network.text.output_dim), np.float32)
        by_length = sorted(range(len(texts)), key=lambda index: len(texts[index]))
        for start in range(0, len(texts), _BATCH):
            batch = by_length[start : start + _BATCH]
            encodings = self.tokenizer.encode_batch([" ".join(texts[index].split()) for index in batch])
            ids = torch.tensor([encoding.ids for encoding in encodings], device=self.device)
            vectors[batch] = self.network.encode_text(ids, normalize=True).float().cpu().numpy()
        return vectors


def load_clip(folder: Path, sha256: str | None = None, text_base: Path | None = None) -> ClipModel:
    """Load a model from its folder to the CPU.

    Args:
        folder: holds `open_clip_config.json`, one of `WEIGHT_FILES`, and `tokenizer.json` or `vocab.txt` unless the
            text tower is MiniLM.
        sha256: what the weights must hash to. Without it a file `<weights>.sha256` next to them is the pin, in the
            form that `sha256sum` writes; a `.bin` is never read without one.
        text_base: a folder with MiniLM, by default the installed package's.

    Raises:
        CheckpointError: a file is missing, damaged, not the pinned one, or does not fit the architecture.
    """
    config = read_config(folder)
    weights = find_weights(folder)
    network = fit_network(folder, config, load_state(weights, sha256 or pinned_hash(weights)), text_base=text_base)
    return ClipModel(
        network, read_tokenizer(folder, config, text_base), preprocess_config(config), sha256_file(weights)
    )


def read_config(folder: Path) -> dict[str, Any]:
    """The content of `open_clip_config.json`. Raises `CheckpointError` when it describes no such model."""
    config = read_json(folder / CONFIG_FILE)
    _check_config(config)
    return config


def pinned_hash(weights: Path) -> str | None:
    """What the file beside the weights, in the form that `sha256sum` writes, says that they hash to."""
    pin = weights.with_name(f"{weights.name}.sha256")
    words = pin.read_text("utf-8", errors="replace").split() if pin.is_file() else []
    return words[0] if words else None


def fit_network(
    folder: Path,
    config: Mapping[str, Any],
    state: Mapping[str, Tensor],
    device: str = "cpu",
    text_base: Path | None = None,
) -> CustomTextCLIP:
    """The network of a folder with the tensors of its weights file, every key and shape strictly.

    Args:
        folder: where the architecture of the text tower may be.
        config: what `read_config` gave.
        state: names to tensors as in the file.
        device: "meta" to try names and shapes alone, without memory.
        text_base: a folder with MiniLM, by default the installed package's.

    Raises:
        CheckpointError: the tensors do not fit the architecture, or MiniLM is needed and not there.
    """
    full = {name: value for name, value in state.items() if name not in _LEGACY_BUFFERS}
    if "text_base" in config:
        base = _minilm(config["text_base"], text_base)
        full = _joined(full, base)
        text = BertConfig(**read_json(base / "config.json"))
    else:
        text = text_config(folder, full)
    with torch.device(device):
        network = build_network(config, text).to(device)
    load_strict(network, full)
    return network.requires_grad_(requires_grad=False)


def find_weights(folder: Path) -> Path:
    """The weights file of a folder. Raises `CheckpointError` when there is none."""
    for name in WEIGHT_FILES:
        if (folder / name).is_file():
            return folder / name
    raise CheckpointError(f"no weights in the folder {folder.name}: expected one of {', '.join(WEIGHT_FILES)}")


def build_network(config: Mapping[str, Any], text: BertConfig) -> CustomTextCLIP:
    """The network with random weights, from an `open_clip_config.json` and the architecture of its text tower.

    Raises:
        CheckpointError: the configuration does not describe a timm vision tower and a BERT text tower.
    """
    _check_config(config)
    model = config["model_cfg"]
    vision = {**model["vision_cfg"], "timm_model_pretrained": False}
    # open_clip reads the text architecture only from a name or a folder; a name would be looked up on the hub.
    with TemporaryDirectory() as folder:
        text.save_pretrained(folder)
        tower = {**model["text_cfg"], "hf_model_name": folder, "hf_model_pretrained": False}
        try:
            return CustomTextCLIP(**{**model, "vision_cfg": vision, "text_cfg": tower})
        except (TypeError, ValueError, RuntimeError, KeyError) as error:
            raise CheckpointError(f"{CONFIG_FILE} describes no network that open_clip can build") from error


def preprocess_config(config: Mapping[str, Any]) -> PreprocessCfg:
    """How pixels are prepared, with open_clip's defaults for what the folder leaves out."""
    size = config["model_cfg"]["vision_cfg"].get("image_size", PreprocessCfg.size)
    return PreprocessCfg(**merge_preprocess_dict(PreprocessCfg(size=size), config.get("preprocess_cfg", {})))


def text_config(folder: Path, state: Mapping[str, Tensor]) -> BertConfig:
    """The architecture of the text tower: from `text_config/config.json`, or read off the shapes of its weights.

    Only the number of attention heads cannot be read off; BERT's heads are 64 wide (Devlin et al. 2019).

    Raises:
        CheckpointError: there is no such file, and the weights are not those of a BERT.
    """
    given = folder / "text_config" / "config.json"
    if given.is_file():
        return BertConfig(**read_json(given))
    embeddings, layer = f"{TEXT_PREFIX}embeddings.", f"{TEXT_PREFIX}encoder.layer."
    try:
        vocabulary, width = state[f"{embeddings}word_embeddings.weight"].shape
        return BertConfig(
            vocab_size=vocabulary,
            hidden_size=width,
            num_hidden_layers=len({name.split(".")[4] for name in state if name.startswith(layer)}),
            num_attention_heads=max(1, width // _HEAD_WIDTH),
            intermediate_size=state[f"{layer}0.intermediate.dense.weight"].shape[0],
            max_position_embeddings=state[f"{embeddings}position_embeddings.weight"].shape[0],
            type_vocab_size=state[f"{embeddings}token_type_embeddings.weight"].shape[0],
        )
    except KeyError as error:
        raise CheckpointError(f"the checkpoint holds no BERT text tower: {error.args[0]} is missing") from error


def _check_config(config: Mapping[str, Any]) -> None:
    model = config.get("model_cfg")
    if not isinstance(model, dict) or not {"embed_dim", "vision_cfg", "text_cfg"} <= model.keys():
        raise CheckpointError(f"{CONFIG_FILE} has no model_cfg with embed_dim, vision_cfg and text_cfg")
    if "timm_model_name" not in model["vision_cfg"] or "hf_model_name" not in model["text_cfg"]:
        raise CheckpointError(f"{CONFIG_FILE} does not describe a timm vision tower and a Hugging Face text tower")


def _minilm(reference: Mapping[str, Any], folder: Path | None) -> Path:
    if reference.get("sha256") != MINILM_SHA256:
        raise CheckpointError(f"the text base has sha256 {reference.get('sha256')}, only {MINILM_SHA256} is known")
    try:
        return minilm_folder(folder)
    except (FileNotFoundError, ValueError) as error:
        raise CheckpointError(f"the text base is not there: {error}") from error


def _joined(delta: Mapping[str, Tensor], base: Path) -> dict[str, Tensor]:
    own = load_state(base / "model.safetensors")
    text = {
        f"{TEXT_PREFIX}{name}": value
        for name, value in own.items()
        if not name.startswith(("pooler.", "embeddings.position_ids"))
    }
    twice = sorted(text.keys() & delta.keys())
    if twice:
        raise CheckpointError(f"the checkpoint holds {len(twice)} tensors of its text base, such as {twice[0]}")
    return {**text, **delta}


def read_tokenizer(folder: Path, config: Mapping[str, Any], text_base: Path | None = None) -> Tokenizer:
    """The folder's own, or MiniLM's where that is the text tower. Raises `CheckpointError` when there is none."""
    context = int(config["model_cfg"]["text_cfg"].get("context_length", DEFAULT_CONTEXT))
    if "text_base" in config:
        return load_tokenizer(text_base, context)
    if (folder / "tokenizer.json").is_file():
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    elif (folder / "vocab.txt").is_file():
        given = folder / "tokenizer_config.json"
        lowercase = bool(read_json(given).get("do_lower_case", True)) if given.is_file() else True
        tokenizer = _word_piece(folder / "vocab.txt", lowercase)
    else:
        raise CheckpointError(f"no tokenizer in the folder {folder.name}: expected tokenizer.json or vocab.txt")
    tokenizer.enable_truncation(context)
    tokenizer.enable_padding(pad_id=tokenizer.token_to_id("[PAD]"), pad_token="[PAD]")  # noqa: S106
    return tokenizer


def _word_piece(vocabulary: Path, lowercase: bool) -> Tokenizer:
    tokenizer = Tokenizer(WordPiece.from_file(str(vocabulary), unk_token="[UNK]"))  # noqa: S106
    tokenizer.normalizer = BertNormalizer(lowercase=lowercase)
    tokenizer.pre_tokenizer = BertPreTokenizer()
    end, start = tokenizer.token_to_id("[SEP]"), tokenizer.token_to_id("[CLS]")
    if end is None or start is None:
        raise CheckpointError(f"{vocabulary.name} lacks [CLS] or [SEP]")
    tokenizer.post_processor = BertProcessing(("[SEP]", end), ("[CLS]", start))
    return tokenizer
