"""Pictures that are drawn here and are not medical: noise, plain areas and charts, each the same at every call."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mmedagent.evaluation.real_images.registry import OtherKind, Split
from mmedagent.protocol.errors import InvalidRequestError

Pixels = NDArray[np.uint8]
_SIZE = 256
_SEED = 20


@dataclass(frozen=True)
class DrawnImage:
    """A drawn picture: uint8 (rows, columns) or (rows, columns, 3)."""

    name: str
    split: Split
    kind: OtherKind
    pixels: Pixels


def drawn_images() -> Iterator[DrawnImage]:
    """Noise, then charts; every other one of each is for development.

    Raises `InvalidRequestError` when matplotlib, which draws the charts, is not installed.
    """
    kinds: tuple[tuple[OtherKind, dict[str, Pixels]], ...] = (("noise", noise()), ("chart", charts()))
    for kind, pictures in kinds:
        for number, (name, pixels) in enumerate(pictures.items()):
            yield DrawnImage(name, "final" if number % 2 else "development", kind, pixels)


def noise() -> dict[str, Pixels]:
    """Noise of several spectra, and areas without any structure."""
    rng = np.random.default_rng(_SEED)
    shape = (_SIZE, _SIZE)
    ramp = np.linspace(0, 255, _SIZE)
    return {
        "uniform_noise": rng.integers(0, 256, shape, np.uint8),
        "gaussian_noise": _bytes(rng.normal(128, 40, shape)),
        "colour_noise": rng.integers(0, 256, (*shape, 3), np.uint8),
        "pink_noise": _pink(rng),
        "salt_and_pepper": np.where(rng.random(shape) < 0.5, 0, 255).astype(np.uint8),
        "colour_pink_noise": np.stack([_pink(rng) for _ in range(3)], axis=-1),
        "stripes": _bytes(np.broadcast_to(127.5 + 127.5 * np.sin(ramp / 4), shape)),
        "black": np.zeros(shape, np.uint8),
        "ramp": _bytes(np.broadcast_to(ramp, shape)),
        "white": np.full((*shape, 3), 255, np.uint8),
    }


def charts() -> dict[str, Pixels]:
    """Charts as matplotlib draws them. Raises `InvalidRequestError` without matplotlib."""
    return {plot.__name__.strip("_"): _render(plot) for plot in _PLOTS}


def _line_chart(axes: Any, rng: np.random.Generator) -> None:
    axes.plot(rng.normal(size=(60, 3)).cumsum(axis=0), label=["a", "b", "c"])
    axes.legend()


def _bar_chart(axes: Any, rng: np.random.Generator) -> None:
    axes.bar(range(8), rng.uniform(1, 9, 8))
    axes.set_title("Sales by month")


def _scatter_chart(axes: Any, rng: np.random.Generator) -> None:
    axes.scatter(*rng.normal(size=(2, 120)), c=rng.random(120))


def _histogram(axes: Any, rng: np.random.Generator) -> None:
    axes.hist(rng.normal(size=800), bins=30, color="gray")
    axes.set_xlabel("value")


def _pie_chart(axes: Any, rng: np.random.Generator) -> None:
    axes.pie(rng.uniform(1, 4, 5), labels=list("ABCDE"))


def _heat_map(axes: Any, rng: np.random.Generator) -> None:
    axes.imshow(rng.random((9, 9)), cmap="viridis")


def _contour_chart(axes: Any, _rng: np.random.Generator) -> None:
    x, y = np.meshgrid(np.linspace(-3, 3, 60), np.linspace(-3, 3, 60))
    axes.contourf(x, y, np.sin(x) * np.cos(y), cmap="gray")


def _box_chart(axes: Any, rng: np.random.Generator) -> None:
    axes.boxplot(rng.normal(size=(40, 5)))


def _table(axes: Any, rng: np.random.Generator) -> None:
    axes.axis("off")
    cells = [[f"{value:.2f}" for value in row] for row in rng.random((8, 4))]
    axes.table(cells, colLabels=["north", "east", "south", "west"], loc="center")


def _stack_chart(axes: Any, rng: np.random.Generator) -> None:
    axes.stackplot(range(20), rng.uniform(1, 3, (4, 20)))


_PLOTS: tuple[Callable[[Any, np.random.Generator], None], ...] = (
    _line_chart, _bar_chart, _scatter_chart, _histogram, _pie_chart,
    _heat_map, _contour_chart, _box_chart, _table, _stack_chart,
)  # fmt: skip


def _render(plot: Callable[[Any, np.random.Generator], None]) -> Pixels:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise InvalidRequestError("The charts need matplotlib: install mmedagent with its extra `dev`.") from error
    figure = Figure(figsize=(4, 3), dpi=100)
    plot(figure.add_subplot(), np.random.default_rng(_SEED))
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    with Image.open(buffer) as image:
        return np.array(image.convert("RGB"))


def _pink(rng: np.random.Generator) -> Pixels:
    """Noise whose amplitude falls with the spatial frequency."""
    rows, columns = np.fft.fftfreq(_SIZE)[:, None], np.fft.fftfreq(_SIZE)[None]
    frequency = np.maximum(np.hypot(rows, columns), 1 / _SIZE)
    values = np.fft.ifft2(np.fft.fft2(rng.normal(size=(_SIZE, _SIZE))) / frequency).real
    return _bytes(128 + 50 * (values - values.mean()) / values.std())


def _bytes(values: NDArray[np.floating[Any]]) -> Pixels:
    clipped: Pixels = np.clip(values, 0, 255).astype(np.uint8)
    return clipped
