"""Embed the handbook and write the index: `python -m mmedagent.tool_workers.retrieval.build models/retrieval`."""

import argparse
from pathlib import Path

import torch

from mmedagent.networks.minilm import SentenceEncoder
from mmedagent.tool_workers.retrieval.corpus import HANDBOOK, read_corpus
from mmedagent.tool_workers.retrieval.index import INDEX_FILE, build_index, save_index


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where index.safetensors is written")
    parser.add_argument("--handbook", type=Path, default=HANDBOOK, help="folder of Markdown files")
    arguments = parser.parse_args()
    # One thread: with more, every row depends on how the work happened to be divided.
    torch.set_num_threads(1)
    corpus = read_corpus(arguments.handbook)
    arguments.folder.mkdir(parents=True, exist_ok=True)
    save_index(build_index(corpus, SentenceEncoder()), corpus, arguments.folder / INDEX_FILE)


if __name__ == "__main__":
    main()
