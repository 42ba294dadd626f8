"""Box- and point-prompted segmentation with SAM networks prepared the MedSAM way.

One class serves both checkpoints: the embedded small network of this project and the official `medsam_vit_b.pth`
(Ma et al., "Segment anything in medical images", Nature Communications 2024), which is a plain state of SAM ViT-B
(Kirillov et al., "Segment Anything", 2023). The networks are those of the `segment_anything` package; the
embedded one looks at every object a second time (`mmedagent.networks.sam_refine`).

A checkpoint folder holds `config.json` and one weights file:

    {"weights": "model.safetensors", "sha256": "<64 hex digits>", "architecture": {"image_size": 256, ...}}

Without `"architecture"` the weights are those of SAM ViT-B.
"""

import json
from dataclasses import asdict, dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer
from torch import Tensor, nn
from torch.nn import functional

from mmedagent.networks.checkpoints import load_state, load_strict
from mmedagent.networks.sam_guess import first_guess
from mmedagent.networks.sam_refine import GROUPS, MOST_LEVELS, Refiner, Windows, tight_boxes
from mmedagent.networks.trunk import PyramidEncoder
from mmedagent.protocol.errors import CheckpointError, InvalidParametersError

BOXES_AT_ONCE = 4
"""Boxes decoded together: larger batches only cost memory on a CPU."""


@dataclass(frozen=True)
class SamConfig:
    """Sizes of a SAM network; the defaults are those of ViT-B, the size of MedSAM.

    Attributes:
        image_size: side in pixels of the square input, a multiple of `patch_size`.
        patch_size: side in pixels of one token.
        embed_dim, depth, heads: width, blocks and attention heads of the image encoder.
        window: side in tokens of windowed attention.
        global_blocks: indices of the blocks with global attention.
        prompt_dim: width of prompts, image embedding and mask decoder.
        decoder_mlp: hidden width of the decoder's two-way transformer.
        trunk: widths of the stages of a ResNet in place of the ViT, see `mmedagent.networks.trunk`; the sizes of the
            ViT then mean nothing, and tokens are 8 pixels.
        first_guess: give SAM a mask prompt as well, see `mmedagent.networks.sam_guess`; not for MedSAM.
        refiner: widths of a network that outlines each object anew at a resolution of its own, see
            `mmedagent.networks.sam_refine`; empty for none, as for MedSAM.
    """

    image_size: int = 1024
    patch_size: int = 16
    embed_dim: int = 768
    depth: int = 12
    heads: int = 12
    window: int = 14
    global_blocks: tuple[int, ...] = (2, 5, 8, 11)
    prompt_dim: int = 256
    decoder_mlp: int = 2048
    trunk: tuple[int, ...] = ()
    first_guess: bool = False
    refiner: tuple[int, ...] = ()

    @property
    def grid(self) -> int:
        """Tokens along one side of the image embedding."""
        return self.image_size // self.patch_size

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """Read the `architecture` object of a `config.json`.

        Raises:
            CheckpointError: a key is unknown or a value is not a size.
        """
        unknown = values.keys() - {field.name for field in fields(cls)}
        if unknown:
            raise CheckpointError(f"unknown SAM sizes in config.json: {', '.join(sorted(unknown))}")
        sizes: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in values.items()}
        flat = [number for value in sizes.values() for number in (value if isinstance(value, tuple) else (value,))]
        if not all(isinstance(number, int) and number >= 0 for number in flat):
            raise CheckpointError("SAM sizes in config.json must be whole numbers")
        widths = sizes.get("refiner", ())
        if not isinstance(widths, tuple) or len(widths) > MOST_LEVELS or any(not one or one % GROUPS for one in widths):
            raise CheckpointError(f"a refiner has up to {MOST_LEVELS} widths that are multiples of {GROUPS}")
        return cls(**sizes)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def build_sam(config: SamConfig) -> Sam:
    """An untrained SAM of the given sizes, in evaluation mode."""
    prompts = PromptEncoder(
        embed_dim=config.prompt_dim,
        image_embedding_size=(config.grid, config.grid),
        input_image_size=(config.image_size, config.image_size),
        mask_in_chans=16,
    )
    decoder = MaskDecoder(
        num_multimask_outputs=3,
        transformer=TwoWayTransformer(
            depth=2, embedding_dim=config.prompt_dim, mlp_dim=config.decoder_mlp, num_heads=8
        ),
        transformer_dim=config.prompt_dim,
        iou_head_depth=3,
        iou_head_hidden_dim=config.prompt_dim,
    )
    # MedSAM scales to [0, 1] by itself, so the mean and deviation that SAM would apply are neutral.
    sam = Sam(_encoder(config), prompts, decoder, pixel_mean=[0.0, 0.0, 0.0], pixel_std=[1.0, 1.0, 1.0])
    if config.refiner:
        sam.refiner = Refiner(config.refiner)
    return sam.eval()


def _encoder(config: SamConfig) -> nn.Module:
    if config.trunk:
        return PyramidEncoder(config.image_size, config.trunk, config.prompt_dim)
    encoder: nn.Module = ImageEncoderViT(
        img_size=config.image_size,
        patch_size=config.patch_size,
        embed_dim=config.embed_dim,
        depth=config.depth,
        num_heads=config.heads,
        mlp_ratio=4,
        norm_layer=partial(nn.LayerNorm, eps=1e-6),
        qkv_bias=True,
        use_rel_pos=True,
        window_size=config.window,
        global_attn_indexes=config.global_blocks,
        out_chans=config.prompt_dim,
    )
    return encoder


def prepare(pixels: NDArray[np.uint8], image_size: int) -> Tensor:
    """MedSAM's input: three channels, resized straight to the square, then scaled from its own range to [0, 1].

    Args:
        pixels: uint8, (H, W) grey or (H, W, 3) RGB.

    Returns:
        float32 (1, 3, image_size, image_size); an even image becomes all zeros.
    """
    if pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[2] != 3) or 0 in pixels.shape:
        raise ValueError(f"an image is (H, W) or (H, W, 3), not {pixels.shape}")
    planes = torch.from_numpy(np.array(np.atleast_3d(pixels), dtype=np.float32)).permute(2, 0, 1)[None]
    square = (
        functional.interpolate(planes, (image_size, image_size), mode="bicubic", align_corners=False, antialias=True)
        .clamp(0, 255)
        .round()
    )
    low, high = square.min(), square.max()
    return ((square - low) / (high - low).clamp(min=1e-8)).expand(1, 3, -1, -1).contiguous()


def thumbnails(images: Tensor, config: SamConfig) -> Tensor:
    """Prepared images (b, 3, image_size, image_size) at the size of a mask prompt, (b, 3, 4 grid, 4 grid)."""
    return functional.adaptive_avg_pool2d(images, 4 * config.grid)


def encode_prompts(
    sam: Sam, config: SamConfig, pixels: Tensor, boxes: Tensor | None, points: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Sparse (n, tokens, prompt_dim) and dense (n, prompt_dim, grid, grid) embeddings of normalised prompts.

    Args:
        pixels: prepared images or thumbnails (b, 3, s, s) that the prompts belong to, n / b prompts each.
        boxes: (n, 4) xyxy in [0, 1], or None.
        points: (n, m, 3) x, y in [0, 1] and label, or None.
    """
    clicks = None if points is None else (points[..., :2] * config.image_size, points[..., 2])
    guess = first_guess(thumbnails(pixels, config), boxes, points) if config.first_guess else None
    scaled = None if boxes is None else boxes * config.image_size
    sparse, dense = sam.prompt_encoder(points=clicks, boxes=scaled, masks=guess)
    return sparse, dense


class Embedding(NamedTuple):
    """An encoded image.

    Attributes:
        features: float32 (1, prompt_dim, grid, grid), what the mask decoder reads.
        pixels: float32 (1, 3, s, s) in [0, 1], the prepared image if the network refines masks, else a thumbnail.
    """

    features: Tensor
    pixels: Tensor


class MedSam:
    """A loaded SAM that segments what boxes and points show, on one image at a time."""

    def __init__(self, sam: Sam, config: SamConfig, sha256: str) -> None:
        self.sam = sam.eval()
        self.config = config
        self.sha256 = sha256

    @property
    def device(self) -> torch.device:
        device: torch.device = self.sam.device
        return device

    @torch.inference_mode()
    def embed(self, pixels: NDArray[np.uint8]) -> Embedding:
        """Encode an image once for any number of prompts.

        Args:
            pixels: uint8, (H, W) grey or (H, W, 3) RGB, of any size.
        """
        prepared = prepare(pixels, self.config.image_size).to(self.device)
        kept = prepared if self.config.refiner else thumbnails(prepared, self.config)
        return Embedding(self.sam.image_encoder(prepared), kept)

    @torch.inference_mode()
    def logits(
        self, embedding: Embedding, boxes: NDArray[np.float32] | None = None, points: NDArray[np.float32] | None = None
    ) -> tuple[Tensor, Tensor]:
        """Mask logits (k, 4 grid, 4 grid) and predicted intersection over union (k,) for prompts as in `segment`."""
        box_prompts = None if boxes is None else self._boxes(boxes)
        point_prompts = None if points is None else self._points(points)
        if box_prompts is not None and point_prompts is None:
            starts = range(0, len(box_prompts), BOXES_AT_ONCE)
            parts = [self._decode(embedding, box_prompts[start : start + BOXES_AT_ONCE], None) for start in starts]
        else:
            if box_prompts is None and point_prompts is None:
                raise InvalidParametersError("segmentation needs at least one box or point")
            if box_prompts is not None and len(box_prompts) != 1:
                raise InvalidParametersError("points refine exactly one box")
            parts = [self._decode(embedding, box_prompts, point_prompts)]
        masks, scores = zip(*parts, strict=True)
        return torch.cat(masks)[:, 0], torch.cat(scores)[:, 0]

    @torch.inference_mode()
    def segment(
        self,
        embedding: Embedding,
        size: tuple[int, int],
        boxes: NDArray[np.float32] | None = None,
        points: NDArray[np.float32] | None = None,
    ) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
        """Segment one object a box, or the one object that all points together show.

        Args:
            embedding: what `embed` returned.
            size: (height, width) in pixels of the masks wanted, as a rule the image's own.
            boxes: float (n, 4), x1, y1, x2, y2 in [0, 1] of width and height, x1 < x2, y1 < y2.
            points: float (m, 3), x, y in [0, 1] and label 1 (inside) or 0 (outside); with one box they refine its mask.

        Returns:
            bool (k, height, width) and the network's own estimate of intersection over union, float32 (k,) in [0, 1];
            k is the number of boxes, or 1 for points. A mask may be empty: nothing was found there.

        Raises:
            InvalidParametersError: no prompt, points with several boxes, a wrong shape or a value out of range.
        """
        low, scores = self.logits(embedding, boxes, points)
        windows = self._windows(boxes, low) if self.config.refiner else None
        if windows is None:
            full = functional.interpolate(low[:, None], size, mode="bilinear", align_corners=False)[:, 0]
        else:
            outlines, scores = self.sam.refiner(embedding.pixels, low, windows)
            full = windows.paste(outlines.float(), size)
        return (full > 0).cpu().numpy(), scores.clamp(0, 1).float().cpu().numpy()

    def _windows(self, boxes: NDArray[np.float32] | None, low: Tensor) -> Windows | None:
        """Where to look a second time: around the boxes, or around what points alone have shown, if anything."""
        if boxes is not None:
            return Windows.around(self._boxes(boxes))
        around, area = tight_boxes(low > 0)
        return Windows.around(around) if bool(area.all()) else None

    def _decode(self, embedding: Embedding, boxes: Tensor | None, points: Tensor | None) -> tuple[Tensor, Tensor]:
        encoder = self.sam.prompt_encoder
        sparse, dense = encode_prompts(
            self.sam, self.config, embedding.pixels, boxes, None if points is None else points[None]
        )
        masks, scores = self.sam.mask_decoder(
            image_embeddings=embedding.features,
            image_pe=encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=False,
        )
        return masks, scores

    def _boxes(self, boxes: NDArray[np.float32]) -> Tensor:
        values = np.array(boxes, dtype=np.float32)
        if values.ndim != 2 or values.shape[1] != 4 or len(values) == 0:
            raise InvalidParametersError(f"boxes are (n, 4) with n >= 1, not {values.shape}")
        if not _within_unit(values) or (values[:, :2] >= values[:, 2:]).any():
            raise InvalidParametersError("a box is x1 < x2 and y1 < y2 within [0, 1]")
        return torch.from_numpy(values).to(self.device)

    def _points(self, points: NDArray[np.float32]) -> Tensor:
        values = np.array(points, dtype=np.float32)
        if values.ndim != 2 or values.shape[1] != 3 or len(values) == 0:
            raise InvalidParametersError(f"points are (m, 3) with m >= 1, not {values.shape}")
        if not _within_unit(values[:, :2]) or not np.isin(values[:, 2], (0, 1)).all():
            raise InvalidParametersError("a point is x and y within [0, 1] and label 0 or 1")
        return torch.from_numpy(values).to(self.device)


def load_sam(folder: Path, device: str = "cpu") -> MedSam:
    """Load a checkpoint folder: strict keys and shapes, and the sha256 of `config.json`.

    Raises:
        CheckpointError: the configuration or the weights are missing, damaged, changed, or do not fit each other.
    """
    config, weights, sha256 = read_config(folder)
    sam = build_sam(config)
    load_strict(sam, load_state(weights, sha256))
    return MedSam(sam.to(device), config, sha256)


def read_config(folder: Path) -> tuple[SamConfig, Path, str]:
    """The sizes, the weights file and its pinned sha256 of a checkpoint folder.

    Raises:
        CheckpointError: `config.json` is missing or not in the form above.
    """
    path = folder / "config.json"
    if not path.is_file():
        raise CheckpointError(f"{folder.name} has no config.json")
    try:
        document = json.loads(path.read_text())
    except ValueError as error:
        raise CheckpointError(f"{folder.name}/config.json is not JSON") from error
    if not isinstance(document, dict):
        raise CheckpointError(f"{folder.name}/config.json is not an object")
    name, sha256 = document.get("weights"), document.get("sha256")
    if not isinstance(name, str) or Path(name).name != name or not isinstance(sha256, str):
        raise CheckpointError(f'{folder.name}/config.json needs "weights" (a file name) and "sha256"')
    return SamConfig.from_json(document.get("architecture", {})), folder / name, sha256


def _within_unit(values: NDArray[np.float32]) -> bool:
    return bool(np.isfinite(values).all() and (values >= 0).all() and (values <= 1).all())
