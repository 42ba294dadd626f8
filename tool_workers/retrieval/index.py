"""The embeddings of the handbook in a file, which names the texts and the encoder they belong to."""

import hashlib
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from mmedagent.protocol.errors import CheckpointError
from mmedagent.tool_workers.retrieval.collection import Collection, Pending

INDEX_FILE = "index.safetensors"
_VECTORS = "vectors"


def save_index(collection: Collection, encoder_sha256: str, path: Path) -> None:
    """Writes the vectors of a corpus in half precision, shape (texts, 384): names, then questions, then passages."""
    rows = collection.rows("SELECT vector FROM texts ORDER BY kind, id")
    vectors = np.stack([np.frombuffer(vector, dtype=np.float16) for (vector,) in rows])
    save_file({_VECTORS: vectors}, path, metadata=_belongs_to(collection, encoder_sha256))


def load_index(collection: Collection, encoder_sha256: str, path: Path) -> None:
    """Gives a corpus its vectors.

    Raises `CheckpointError` when the file is missing, damaged or made from other texts or another encoder.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            metadata, vectors = file.metadata(), file.get_tensor(_VECTORS)
    except (FileNotFoundError, SafetensorError) as error:
        raise CheckpointError(f"The retrieval index {path.name} cannot be read.") from error
    if metadata != _belongs_to(collection, encoder_sha256):
        raise CheckpointError(f"The retrieval index {path.name} was made from another handbook or encoder.")
    texts = [Pending(*row) for row in collection.rows("SELECT id, text FROM texts ORDER BY kind, id")]
    if len(texts) != len(vectors):
        raise CheckpointError(f"The retrieval index {path.name} does not fit the handbook.")
    collection.set_vectors(texts, vectors)


def _belongs_to(collection: Collection, encoder_sha256: str) -> dict[str, str]:
    digest = hashlib.sha256()
    for (text,) in collection.rows("SELECT text FROM texts ORDER BY kind, id"):
        digest.update(text.encode() + b"\n")
    return {"texts_sha256": digest.hexdigest(), "encoder_sha256": encoder_sha256}
