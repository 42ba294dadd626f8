"""What MiniLM makes of every text of a training, computed once: it is frozen, so it need not run beside the training.

    python -m mmedagent.training.text_bank --pool build/pool --out build/texts.safetensors

The file holds a mean vector for each sentence of the classifier, and the states of every token for each phrase of the
grounding network. Within a caption of Grounding DINO a phrase and the full stop after it see only each other, and
positions start anew, so the states of a phrase do not depend on its neighbours.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.progress import track
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from mmedagent.networks.grounding_folder import with_lead
from mmedagent.training.classification_captions import all_texts
from mmedagent.training.grounding_names import load_names
from mmedagent.training.pool import Pool

LEAD = "the"
"""What names in captions come after, one token; see `networks.grounding_folder.with_lead`."""

_BATCH = 64


@dataclass(frozen=True)
class TextBank:
    """Texts and their vectors.

    Attributes:
        sentences: text -> float32 (384,), the mean over its tokens.
        phrases: phrase -> (token ids with `LEAD` and the full stop, float32 (tokens, 384)).
        edges: states of [CLS] and [SEP], each alone, float32 (384,).
    """

    sentences: dict[str, Tensor]
    phrases: dict[str, tuple[tuple[int, ...], Tensor]]
    edges: tuple[Tensor, Tensor]


def make(sentences: Sequence[str], phrases: Sequence[str]) -> TextBank:
    """Run MiniLM over all texts."""
    from mmedagent.networks.minilm import load_minilm, load_tokenizer

    model, tokenizer = load_minilm(), load_tokenizer()
    bank: dict[str, Tensor] = {}
    with torch.inference_mode():
        for start in track(range(0, len(sentences), _BATCH), "sentences"):
            part = list(sentences[start : start + _BATCH])
            encodings = tokenizer.encode_batch(part)
            ids = torch.tensor([encoding.ids for encoding in encodings])
            mask = torch.tensor([encoding.attention_mask for encoding in encodings])
            states = model(input_ids=ids, attention_mask=mask).last_hidden_state
            means = (states * mask[..., None]).sum(dim=1) / mask.sum(dim=1, keepdim=True)
            bank.update(zip(part, means.clone(), strict=True))
        tokens: dict[str, tuple[tuple[int, ...], Tensor]] = {}
        for phrase in track(phrases, "phrases"):
            words = f"{with_lead(phrase, LEAD)}."
            ids = torch.tensor([tokenizer.encode(words, add_special_tokens=False).ids])
            tokens[phrase] = tuple(ids[0].tolist()), model(input_ids=ids).last_hidden_state[0].clone()
        edges = [
            model(input_ids=torch.tensor([[tokenizer.token_to_id(name)]])).last_hidden_state[0, 0].clone()
            for name in ("[CLS]", "[SEP]")
        ]
    return TextBank(bank, tokens, (edges[0], edges[1]))


def write(bank: TextBank, path: Path) -> None:
    document = {"sentences": list(bank.sentences), "phrases": {name: ids for name, (ids, _) in bank.phrases.items()}}
    tensors = {
        "sentences": torch.stack(list(bank.sentences.values())).half(),
        "phrases": torch.cat([states for _, states in bank.phrases.values()]).half(),
        "edges": torch.stack(list(bank.edges)).half(),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, path, metadata={"texts": json.dumps(document)})


def read(path: Path) -> TextBank:
    with safe_open(path, "pt") as file:
        document = json.loads(file.metadata()["texts"])
        sentences, states, edges = (file.get_tensor(key).float() for key in ("sentences", "phrases", "edges"))
    sizes = [len(ids) for ids in document["phrases"].values()]
    parts = torch.split(states, sizes)
    phrases = {name: (tuple(ids), part) for (name, ids), part in zip(document["phrases"].items(), parts, strict=True)}
    return TextBank(dict(zip(document["sentences"], sentences, strict=True)), phrases, (edges[0], edges[1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pool", type=Path, required=True, help="a part of the pool, for what its images can show")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    torch.set_num_threads(1)
    pool = Pool(options.pool)
    pool.refresh()
    write(make(all_texts(pool.rows()), load_names().training_phrases()), options.out)


if __name__ == "__main__":
    main()
