"""A pool of a few small shards for tests of trainings, drawn once a session."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np

from mmedagent.training.phantoms import generate
from mmedagent.training.pool import example_of


def write_small_pool(folder: Path, kinds: tuple[str, ...], images: int = 4, size: int = 256) -> Path:
    """Write one shard of `images` phantoms for each kind."""
    for number, kind in enumerate(kinds):
        rng = np.random.default_rng(number)
        examples = [example_of(generate(kind, rng, size)) for _ in range(images)]
        shard = folder / f"{kind}-00000"
        shard.mkdir(parents=True)
        pictures = [one.image if one.image.ndim == 3 else np.repeat(one.image[..., None], 3, 2) for one in examples]
        np.save(shard / "images.npy", np.stack(pictures))
        np.save(shard / "bits.npy", np.stack([one.bits for one in examples]))
        (shard / "rows.json").write_text(json.dumps([asdict(one.row) for one in examples]), "utf-8")
    return folder
