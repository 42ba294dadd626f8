"""The tokenizer of an original LLaVA folder, so that texts become the numbers that the model was trained with.

`tokenizer.model` of LLaMA and Mistral is a byte-pair model of SentencePiece (Kudo and Richardson 2018,
arXiv 1808.06226). The original code cuts a text at control tokens and at `<image>` and tokenizes each piece on its own,
with a space before it. A tokenizer that is not "legacy" has that space at the start and after `<image>` only. The
result is compared with SentencePiece before it is used.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sentencepiece import SentencePieceProcessor
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from mmedagent.model_worker.llava.checkpoint import read_settings
from mmedagent.protocol.errors import CheckpointError
from mmedagent.protocol.prompts import IMAGE_TOKEN, SYSTEM
from mmedagent.protocol.types import JsonObject

MODEL, ADDED, CONFIG, SPECIAL = (
    "tokenizer.model",
    "added_tokens.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
)
SPACE = "\N{LOWER ONE EIGHTH BLOCK}"
_SAMPLES = (
    SYSTEM,
    "two  spaces, \n\nbreaks\tand tabs ",
    "[0.25, 17, 3e-4] µm² ﬁ ½ Ⅳ",
    'Thoughts 🤔 {"API_name": "MedSAM"} 肝臓',
)


def read_tokenizer(folder: Path, context: int) -> Any:
    """The tokenizer of a folder with `<image>` as a token of its own, which the original code keeps apart.

    Args:
        folder: holds `tokenizer.model` and its settings.
        context: tokens that the model can take.

    Returns:
        a fast tokenizer of transformers; its `<image>` is `image_token`. Texts are padded with the padding token of the
        settings, or with the unknown token, as LLaVA does.

    Raises:
        CheckpointError: a file is missing or damaged, or the tokenizer cannot be reproduced.
    """
    pieces = _open_model(folder / MODEL)
    settings = _settings(folder, CONFIG)
    legacy = settings.get("legacy", True) is not False
    backend = _byte_pairs(pieces, legacy)
    _require_same(backend, pieces)
    names = _special_names(settings | _settings(folder, SPECIAL))
    added = _added_tokens(folder, settings, pieces.get_piece_size())
    backend.add_special_tokens([AddedToken(token, normalized=False) for token in (*added, *names.values())])
    bos = names["bos_token"]
    backend.post_processor = processors.TemplateProcessing(
        single=f"{bos} $A", pair=f"{bos} $A $B", special_tokens=[(bos, backend.token_to_id(bos))]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        extra_special_tokens={"image_token": IMAGE_TOKEN},
        model_max_length=context,
        clean_up_tokenization_spaces=False,
        **names,
    )


def _open_model(path: Path) -> Any:
    if not path.is_file():
        raise CheckpointError(
            f"{path.parent.name} has no {path.name}. Get it from where the model's authors publish it."
        )
    try:
        pieces = SentencePieceProcessor(model_proto=path.read_bytes())
    except (RuntimeError, OSError) as error:
        raise CheckpointError(f"{path.name} is not a readable SentencePiece model. Get the file again.") from error
    return pieces


def _byte_pairs(pieces: Any, legacy: bool) -> Tokenizer:
    """The model's pieces as a tokenizer that merges the pair first whose result has the highest score."""
    size = pieces.get_piece_size()
    vocabulary = {pieces.id_to_piece(number): number for number in range(size)}
    normal = [number for number in range(size) if not _is_fixed(pieces, number)]
    merges: list[tuple[str, str]] = []
    for number in sorted(normal, key=pieces.get_score, reverse=True):
        whole = pieces.id_to_piece(number)
        halves = [(whole[:cut], whole[cut:]) for cut in range(1, len(whole))]
        known = [pair for pair in halves if pair[0] in vocabulary and pair[1] in vocabulary]
        merges += sorted(known, key=lambda pair: (vocabulary[pair[0]], vocabulary[pair[1]]))
    unknown = pieces.id_to_piece(pieces.unk_id())
    backend = Tokenizer(models.BPE(vocabulary, merges, unk_token=unknown, fuse_unk=True, byte_fallback=True))
    if legacy:
        backend.normalizer = normalizers.Sequence([normalizers.Prepend(SPACE), normalizers.Replace(" ", SPACE)])
    else:
        # Only what follows an image begins with a line break.
        backend.normalizer = normalizers.Replace(Regex(r"\A\n"), " \n")
        backend.pre_tokenizer = pre_tokenizers.Metaspace(SPACE, prepend_scheme="first", split=False)
    backend.decoder = decoders.Sequence(
        [decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return backend


def _is_fixed(pieces: Any, number: int) -> bool:
    return bool(pieces.is_control(number) or pieces.is_unknown(number) or pieces.is_byte(number))


def _require_same(backend: Tokenizer, pieces: Any) -> None:
    for sample in _SAMPLES:
        if backend.encode(sample).ids != pieces.encode(sample):
            raise CheckpointError(
                f"{MODEL} is not a byte-pair model like that of LLaMA; it cannot be converted exactly."
            )


def _settings(folder: Path, name: str) -> JsonObject:
    return read_settings(folder / name) if (folder / name).is_file() else {}


def _special_names(settings: JsonObject) -> dict[str, str]:
    names: dict[str, str] = {}
    for role, usual in (("bos_token", "<s>"), ("eos_token", "</s>"), ("unk_token", "<unk>"), ("pad_token", None)):
        given = settings.get(role)
        content = given.get("content") if isinstance(given, dict) else given
        name = content or usual or names["unk_token"]
        if not isinstance(name, str):
            raise CheckpointError(f"{CONFIG}: {role} is not the name of a token.")
        names[role] = name
    return names


def _added_tokens(folder: Path, settings: JsonObject, size: int) -> list[str]:
    """Tokens that the model was trained with beyond those of `tokenizer.model`, in order."""
    numbers = {token: number for token, number in _settings(folder, ADDED).items() if isinstance(number, int)}
    listed = settings.get("added_tokens_decoder")
    for number, token in listed.items() if isinstance(listed, dict) else ():
        if isinstance(token, dict) and int(number) >= size:
            numbers[str(token.get("content"))] = int(number)
    ordered = sorted((number, token) for token, number in numbers.items() if number >= size)
    if [number for number, _ in ordered] != list(range(size, size + len(ordered))):
        raise CheckpointError(f"{ADDED} does not go on from the {size} tokens of {MODEL}. Get both from one place.")
    return [token for _, token in ordered]
