"""The encoder is the published one."""

from __future__ import annotations

import torch

from mmedagent.networks.minilm import load_minilm, load_tokenizer
from mmedagent.networks.minilm_encoder import load_minilm_encoder


def test_hidden_states_are_those_of_transformers() -> None:
    encodings = load_tokenizer().encode_batch(["Segment the liver.", "What is a pneumothorax, and is it urgent?"])
    ids = torch.tensor([encoding.ids for encoding in encodings])
    mask = torch.tensor([encoding.attention_mask for encoding in encodings])
    with torch.inference_mode():
        ours = load_minilm_encoder()(ids, mask)
        theirs = load_minilm()(input_ids=ids, attention_mask=mask).last_hidden_state
    real = mask.bool()
    torch.testing.assert_close(ours[real], theirs[real], atol=1e-5, rtol=1e-5)
