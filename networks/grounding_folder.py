"""The checkpoint folder of a Grounding DINO: what it holds, and how its tensors come into the network of transformers.

Three kinds are read, each strictly:

- a folder in the Hugging Face layout: `config.json`, `model.safetensors`, `preprocessor_config.json`, a tokenizer;
- the same, referring to MiniLM instead of carrying a text backbone of its own (`"text_base": {"sha256": ...}` in
  `config.json`); its weights file then holds everything but the tensors of MiniLM, and `"lead"` is the word that every
  name is put after, see `with_lead`;
- an original `.pth` with `grounding.json`, see `mmedagent.networks.grounding_original`.

`"weights_sha256"` in `config.json` pins the weights, and `"nms_iou"` says which boxes of a name count as one.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from torch import Tensor

from mmedagent.networks.checkpoints import CheckpointError, load_strict, read_json
from mmedagent.networks.grounding_original import GROUNDING_FILE, UNREAD_NORM, convert
from mmedagent.networks.minilm import MINILM_SHA256, load_minilm, load_tokenizer
from mmedagent.networks.pretrained import fit_pretrained

if TYPE_CHECKING:
    from transformers import GroundingDinoConfig, GroundingDinoForObjectDetection

CONFIG_FILE, WEIGHTS = "config.json", "model.safetensors"
TEXT_PREFIX = "model.text_backbone."
TIED = "model.decoder.bbox_embed."
"""The decoder's own box heads, which are the detector's under a second name."""

SPECIAL_IDS = {"[CLS]": 101, "[SEP]": 102, ".": 1012, "?": 1029}
"""Token numbers by which the network parts a caption; they are those of BERT base uncased."""

NMS_IOU = 0.8
"""Where a folder says nothing else (the published demo's value)."""

_OWN_KEYS = frozenset({"text_base", "weights_sha256", "nms_iou"})


class GroundingFolder(NamedTuple):
    """What a folder says about itself.

    Attributes:
        config: fields of a `GroundingDinoConfig`.
        weights: the weights file, which need not be there.
        sha256: what it must hash to, if the folder says so.
        over_minilm: whether the text backbone is MiniLM, and not in the file.
        original: whether the file is in the original layout.
        lead: what every name in a caption comes after.
        nms_iou: of two boxes of a name that overlap by more than this, the lesser is dropped.
    """

    config: dict[str, Any]
    weights: Path
    sha256: str | None
    over_minilm: bool = False
    original: bool = False
    lead: str = ""
    nms_iou: float = NMS_IOU


def with_lead(words: str, lead: str) -> str:
    """A name of a caption after its lead, unless that is empty or there already.

    The parts of a caption do not see each other, nor [CLS]. MiniLM was trained with [CLS] before everything and takes
    the first token of a part for it, so without a lead "heart", "lung" and "liver" come out as one and the same vector
    (cosine 1.000, after a lead at most 0.6).
    """
    return words if not lead or words.startswith(f"{lead} ") else f"{lead} {words}"


def read_folder(folder: Path) -> GroundingFolder:
    """Raises `CheckpointError` when `grounding.json` or `config.json` is missing, or not in its form."""
    if (folder / GROUNDING_FILE).is_file():
        return _read_original_folder(folder)
    config = read_json(folder / CONFIG_FILE)
    base = config.get("text_base")
    if base is not None and (not isinstance(base, dict) or base.get("sha256") != MINILM_SHA256):
        raise CheckpointError(f"the text base that {CONFIG_FILE} names is not MiniLM")
    lead = "" if base is None else base.get("lead", "")
    if not isinstance(lead, str):
        raise CheckpointError(f'"lead" in {CONFIG_FILE} is not a word')
    nms_iou = config.get("nms_iou", NMS_IOU)
    if not isinstance(nms_iou, (int, float)) or not 0 <= nms_iou <= 1:
        raise CheckpointError(f'"nms_iou" in {CONFIG_FILE} is not a number from 0 to 1')
    values = {key: value for key, value in config.items() if key not in _OWN_KEYS}
    pin = config.get("weights_sha256")
    return GroundingFolder(values, folder / WEIGHTS, pin, over_minilm=base is not None, lead=lead, nms_iou=nms_iou)


def _read_original_folder(folder: Path) -> GroundingFolder:
    document = read_json(folder / GROUNDING_FILE)
    name, sha256, given = document.get("weights"), document.get("sha256"), document.get("architecture", {})
    if not isinstance(name, str) or Path(name).name != name or not isinstance(sha256, str):
        raise CheckpointError(f'{GROUNDING_FILE} needs "weights" (a file name) and "sha256"')
    if not isinstance(given, dict):
        raise CheckpointError(f"the architecture in {GROUNDING_FILE} is not an object")
    return GroundingFolder({**given, "model_type": "grounding-dino"}, folder / name, sha256, original=True)


def fit_network(
    described: GroundingFolder, state: Mapping[str, Tensor], device: str = "cpu"
) -> GroundingDinoForObjectDetection:
    """The network of a folder with the tensors of its weights file.

    Args:
        described: the folder.
        state: names to tensors as in the file.
        device: "meta" to try names and shapes alone, without memory.

    Raises:
        CheckpointError: keys are missing or unexpected, or a shape differs; the message names them.
    """
    from transformers import GroundingDinoForObjectDetection  # transformers takes seconds to import

    if not described.original and not described.over_minilm:
        config = _configuration(described.config)
        network = fit_pretrained(GroundingDinoForObjectDetection, config, state, device, UNREAD_NORM)
        return _with_queries(network).eval().requires_grad_(requires_grad=False)
    with torch.device(device):
        # Some parameters of transformers' network come to be on the CPU all the same.
        network = build_network(described.config).to(device)
    if described.original:
        full = convert(state, network)
    else:
        base = {f"{TEXT_PREFIX}{name}": value for name, value in load_minilm().state_dict().items()}
        full = with_tied({**state, **base}, network.config.decoder_layers)
    load_strict(network, full)
    return network.requires_grad_(requires_grad=False)


def build_network(config: Mapping[str, Any]) -> GroundingDinoForObjectDetection:
    """The network with random weights from the content of a `config.json`.

    Raises:
        CheckpointError: the configuration describes no Grounding DINO.
    """
    from transformers import GroundingDinoForObjectDetection

    try:
        return _with_queries(GroundingDinoForObjectDetection(_configuration(config))).eval()
    except (TypeError, ValueError, KeyError) as error:
        raise CheckpointError(f"{CONFIG_FILE} describes no Grounding DINO that transformers can build") from error


def _with_queries(network: GroundingDinoForObjectDetection) -> GroundingDinoForObjectDetection:
    """Let queries start as the proposals' features where the configuration says so (`embedding_init_target` false).

    transformers 5.23 then has no table of learned queries and no `d_model`, but reads both all the same.
    """
    if not network.config.embedding_init_target:
        network.model.query_position_embeddings = SimpleNamespace(weight=None)
        network.model.d_model = network.config.d_model
    return network


def own_state(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A network's state without the text backbone and without second names of the box head."""
    first = "bbox_embed.0."
    twice = tuple(name for name in state if name.startswith("bbox_embed.") and not name.startswith(first))
    return {name: value for name, value in state.items() if not name.startswith((TEXT_PREFIX, TIED, *twice))}


def read_tokenizer(folder: Path) -> Tokenizer:
    """From `tokenizer.json` or `vocab.txt`, or MiniLM's, which has the vocabulary of BERT base uncased.

    Raises:
        CheckpointError: the special tokens have other numbers than the network takes for granted.
    """
    if (folder / "tokenizer.json").is_file():
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    elif (folder / "vocab.txt").is_file():
        tokenizer = Tokenizer(WordPiece.from_file(str(folder / "vocab.txt"), unk_token="[UNK]"))  # noqa: S106
        tokenizer.normalizer = BertNormalizer(lowercase=True)
        tokenizer.pre_tokenizer = BertPreTokenizer()
    else:
        tokenizer = load_tokenizer()
    if {token: tokenizer.token_to_id(token) for token in SPECIAL_IDS} != SPECIAL_IDS:
        raise CheckpointError("the tokenizer does not have the vocabulary of BERT base uncased")
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def _configuration(config: Mapping[str, Any]) -> GroundingDinoConfig:
    from transformers import GroundingDinoConfig

    values = {key: value for key, value in config.items() if key not in _OWN_KEYS}
    if values.get("model_type") != "grounding-dino":
        raise CheckpointError(f"{CONFIG_FILE} does not describe a Grounding DINO")
    try:
        return GroundingDinoConfig.from_dict(values)
    except (TypeError, ValueError, KeyError) as error:
        raise CheckpointError(f"{CONFIG_FILE} describes no Grounding DINO that transformers can build") from error


def with_tied(state: Mapping[str, Tensor], layers: int) -> dict[str, Tensor]:
    """Give the box head, which all decoder layers share, its other names, which files leave out."""
    full = dict(state)
    for name, value in state.items():
        if name.startswith("bbox_embed.0."):
            for layer in range(layers):
                own = f"bbox_embed.{layer}.{name.removeprefix('bbox_embed.0.')}"
                full.setdefault(own, value)
                full.setdefault(f"model.decoder.{own}", value)
    return full
