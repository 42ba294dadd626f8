"""Embed the handbook and write the index: `python -m mmedagent.tool_workers.retrieval.build models/retrieval`."""

import argparse
from pathlib import Path

import torch

from mmedagent.networks.minilm import MINILM_SHA256, SentenceEncoder
from mmedagent.tool_workers.retrieval.embedding import embed_pending
from mmedagent.tool_workers.retrieval.handbook_pages import read_handbook
from mmedagent.tool_workers.retrieval.index import INDEX_FILE, save_index


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where index.safetensors is written")
    arguments = parser.parse_args()
    # One thread: with more, every row depends on how the work happened to be divided.
    torch.set_num_threads(1)
    handbook = read_handbook()
    embed_pending(handbook, SentenceEncoder())
    arguments.folder.mkdir(parents=True, exist_ok=True)
    save_index(handbook, MINILM_SHA256, arguments.folder / INDEX_FILE)


if __name__ == "__main__":
    main()
