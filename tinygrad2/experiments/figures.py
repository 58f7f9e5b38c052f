"""The pictures of a run: how accuracy and ρ₂ went, and what it takes to fool each network. Written whole, as PNG."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from tinygrad2 import nn, robust
from tinygrad2.data import Dataset
from tinygrad2.nn import Layer

# Attack → row → ε → accuracies in %, over the seeds.
Under: TypeAlias = Mapping[str, Mapping[str, Mapping[float, Sequence[float]]]]

INK = "#222222"
GREY = "#8a8a8a"
BLUE = "#2a6fbb"
ORANGE = "#d9711c"
COLOURS = (GREY, BLUE, ORANGE, "#3a8f5c", "#8a4fa3", "#b03a3a", "#1d8a99", "#7a6a1e")  # of rows
STYLE: dict[Any, Any] = {
    "font.size": 10, "text.color": INK, "axes.edgecolor": GREY, "axes.labelcolor": INK, "xtick.color": INK,
    "ytick.color": INK, "axes.spines.top": False, "axes.spines.right": False, "axes.titlelocation": "left",
}  # fmt: skip

NOTE: dict[str, Any] = {"textcoords": "offset points", "annotation_clip": False, "fontsize": 9.5}


class Panel(NamedTuple):
    """One curve: its key in metrics.jsonl, label, factor, format of a value, colour."""

    key: str
    label: str
    scale: float
    text: str
    colour: str


PANELS = (Panel("accuracy", "accuracy, %", 100, "{:.2f}", BLUE), Panel("rho2", "ρ₂", 1, "{:.3f}", ORANGE))


def require() -> None:
    """Raise ModuleNotFoundError, saying what to install, where figures cannot be drawn."""
    if importlib.util.find_spec("matplotlib") is None:
        raise ModuleNotFoundError("figures need matplotlib, which is not installed: pip install 'tinygrad2[lab]'")


def curves(metrics: Sequence[Mapping[str, Any]], defense: str, path: str | os.PathLike[str]) -> None:
    """Accuracy and ρ₂ on the test images against the epoch, the phases marked.

    metrics: the lines of metrics.jsonl, of which at least one measures the network in or after training
    """
    points = [entry for entry in metrics if entry["kind"] == "epoch"]
    before = max((entry["epoch"] for entry in points if entry["phase"] == "reference"), default=0)
    # An untrained network is left out: it is far off the scale of what matters.
    first = min(1, before)
    points = [entry for entry in points if entry["phase"] != "reference" or entry["epoch"] >= first]
    epochs = [entry["epoch"] + (0 if entry["phase"] == "reference" else before) for entry in points]
    panels = [panel for panel in PANELS if all(panel.key in entry for entry in points)]
    figure, rows = _figure(7.2, 2.6 * len(panels), len(panels), 1)
    for panel, ax in zip(panels, rows.flat, strict=True):
        values = [panel.scale * entry[panel.key] for entry in points]
        if max(epochs) > before:
            ax.axvspan(before, max(epochs), color=ORANGE, alpha=0.08, lw=0)
        ax.plot(epochs, values, color=panel.colour, lw=1.6, marker="o", ms=3.2, clip_on=False)
        for at in {i for i, epoch in enumerate(epochs) if epoch == before} | {len(epochs) - 1}:
            text = panel.text.format(values[at])
            ax.annotate(text, (epochs[at], values[at]), color=panel.colour, **_beside(values, at))
        gap = 0.15 * ((max(values) - min(values)) or 0.05 * panel.scale)
        ax.set(ylabel=panel.label, xlim=(first, max(*epochs, first + 1)), ylim=(min(values) - gap, max(values) + gap))
        ax.xaxis.get_major_locator().set_params(integer=True)
        ax.grid(axis="y", color=GREY, alpha=0.25, lw=0.6)
        ax.set_axisbelow(True)
    for start, stop, name in ((first, before, "reference"), (before, max(epochs), defense)):
        if stop > start:
            style = {"xytext": (0, 5), "ha": "center", "color": GREY, **NOTE}
            rows.flat[0].annotate(name, ((start + stop) / 2, 1), xycoords=("data", "axes fraction"), **style)
    rows.flat[-1].set_xlabel("epoch")
    _write(figure, path)


def _beside(values: Sequence[float], at: int) -> dict[str, Any]:
    """Where a curve's value is written, clear of the curve: right of its end, before it turns, or under its start."""
    if at == len(values) - 1:
        return {"xytext": (7, 0), "va": "center", **NOTE}
    if at > 0:
        return {"xytext": (0, 7), "ha": "right", **NOTE}
    rises = values[1] > values[0]
    return {"xytext": (6, -7 if rises else 7), "va": "top" if rises else "bottom", **NOTE}


def comparison(
    columns: Mapping[str, Mapping[str, Sequence[float]]],
    under: Under,
    path: str | os.PathLike[str],
) -> None:
    """A panel for each column, each row's values as points and their mean as a line; then accuracy over ε per attack.

    columns: column → row → values over the seeds; under: attack → row → ε → accuracies in % over the seeds
    The axes begin where the values do, not at 0, so that small differences can be seen.
    """
    rows = list(next(iter(columns.values())))
    across = max(2, len(under), len(columns)) if len(under) < 4 else 4
    down = -(-len(columns) // across)
    more = -(-len(under) // across)
    width = 0.09 * max(map(len, rows))
    heights = [0.7 + 0.32 * len(rows)] * down + [3.0] * more
    figure, axes = _figure(width + 3.2 * across, sum(heights), down + more, across, heights)
    for ax in (*axes[:down].flat[len(columns) :], *axes[down:].flat[len(under) :]):
        ax.remove()
    for i, (ax, (title, values)) in enumerate(zip(axes[:down].flat, columns.items(), strict=False)):
        for at, row in enumerate(rows):
            if values[row]:
                ax.plot(values[row], [at] * len(values[row]), "o", color=COLOURS[at % len(COLOURS)], ms=4, alpha=0.7)
                ax.plot([np.mean(values[row])] * 2, [at - 0.32, at + 0.32], color=COLOURS[at % len(COLOURS)], lw=2)
        ax.set_title(f"{title}  (●: a seed, |: mean)", fontsize=10)
        ax.set(ylim=(len(rows) - 0.4, -0.6), yticks=range(len(rows)), yticklabels=rows if i % across == 0 else [])
        ax.margins(x=0.15)
        ax.grid(axis="x", color=GREY, alpha=0.25, lw=0.6)
    for ax, (attack, found) in zip(axes[down:].flat, under.items(), strict=False):
        _over_epsilon(ax, attack, found, {row: COLOURS[at % len(COLOURS)] for at, row in enumerate(rows)})
    _write(figure, path)


def over_epsilon(under: Under, path: str | os.PathLike[str]) -> None:
    """Accuracy over ε, a panel for each attack and a line for each network. under: as in `comparison`."""
    rows = list(next(iter(under.values())))
    figure, axes = _figure(4.2 * len(under), 3.2, 1, len(under))
    for ax, (attack, found) in zip(axes.flat, under.items(), strict=True):
        _over_epsilon(ax, attack, found, {row: COLOURS[at % len(COLOURS)] for at, row in enumerate(rows)})
    _write(figure, path)


def _over_epsilon(
    ax: Any, attack: str, found: Mapping[str, Mapping[float, Sequence[float]]], colours: Mapping[str, str]
) -> None:
    """One attack: the mean over the seeds as a line, and the range from lowest to highest as a band."""
    for row, at in found.items():
        sizes = sorted(at)
        ax.plot(sizes, [np.mean(at[e]) for e in sizes], color=colours[row], lw=1.6, marker="o", ms=3.5, label=row)
        low, high = ([f(at[e]) for e in sizes] for f in (min, max))
        ax.fill_between(sizes, low, high, color=colours[row], alpha=0.15, lw=0)
    ax.set_title(f"under {attack}", fontsize=10)
    ax.set(xlabel="ε, l∞ size of the perturbation", ylabel="accuracy, %")
    ax.grid(color=GREY, alpha=0.25, lw=0.6)
    ax.legend(fontsize=8.5, frameon=False)


def one_of_each(nets: Mapping[str, Layer], dataset: Dataset, most: int = 10) -> np.ndarray:
    """The first test image of each class that all the networks get right. Result: indices (≤ most,), maybe none."""
    right = np.all([robust.predict(net, dataset.x_test) == dataset.y_test for net in nets.values()], axis=0)
    firsts = [np.flatnonzero(right & (dataset.y_test == k))[:1] for k in range(len(dataset.classes))]
    return np.concatenate(firsts)[:most]


def why_no_images(nets: Mapping[str, Layer], dataset: Dataset) -> str | None:
    """Why there are no images to show fooled, or None."""
    shape = dataset.x_test.shape[1:]
    if len(shape) != 3 or shape[0] not in (1, 3):
        return f"samples of shape {shape} are no images in grey or in colour"
    if not one_of_each(nets, dataset).size:
        return f"no test image of {dataset.name!r} is classified correctly, so there is none to show fooled"
    return None


def perturbations(nets: Mapping[str, Layer], dataset: Dataset, path: str | os.PathLike[str], mode: str) -> None:
    """For one image of each class and each network: DeepFool's perturbation, magnified, and the adversarial image."""
    at = one_of_each(nets, dataset)
    x = dataset.x_test[at]
    labels = dataset.y_test[at]
    found = {}
    for name, net in nets.items():
        result = robust.deepfool(net.eval(), x, mode=mode, max_iter=5)  # the paper's ρ₂
        ratios = result.norms / np.linalg.norm(x.reshape(len(x), -1), axis=1)
        found[name] = (result.adversarial.numpy(), [f"ρ {ratio:.2f}" for ratio in ratios])
    grid(dataset, x, labels, found, nets, path)


def grid(
    dataset: Dataset,
    x: np.ndarray,
    labels: np.ndarray,
    found: Mapping[str, tuple[np.ndarray, Sequence[str]]],
    nets: Mapping[str, Layer],
    path: str | os.PathLike[str],
) -> None:
    """Columns are images; rows: the image, then for each network the perturbation, and the result with its class.

    found: network → adversarial images like x (N, C, H, W), and what to write over each perturbation
    """
    ends = _ends(dataset, x)
    raw = _bytes(dataset, x, ends)
    sizes = np.concatenate([abs(adversarial - x).ravel() for adversarial, _ in found.values()])
    spread = float(np.quantile(sizes, 0.99))  # all but the largest hundredth of the changes fit the colour scale
    times = 127.5 / spread if spread else 1.0
    figure, axes = _figure(1.05 * len(x) + 1.7, 1.3 * (1 + 2 * len(found)) + 0.8, 1 + 2 * len(found), len(x))
    _row(axes[0], raw, [dataset.classes[k] for k in labels], "image")
    for i, (name, (adversarial, notes)) in enumerate(found.items()):
        now = robust.predict(nets[name], adversarial)
        label = f"{name}:\nperturbation\n× {times * (ends[1] - ends[0]) / 255:.2g}"
        _row(axes[1 + 2 * i], 127.5 + times * (adversarial - x), notes, label, "RdBu_r")
        said = [f"→ {dataset.classes[k]}" for k in now]
        colours = [ORANGE if wrong else GREY for wrong in now != labels]
        _row(axes[2 + 2 * i], _bytes(dataset, adversarial, ends), said, "perturbed", colours=colours)
    _legend(figure, axes, grey=x.shape[1] == 1, spread=spread)
    _write(figure, path)


def _ends(dataset: Dataset, x: np.ndarray) -> tuple[float, float]:
    """What is black and what is white: the range of the pixels, or of these images where it is not known."""
    raw = dataset.pixels(x)
    return dataset.range or (float(raw.min()), float(raw.max()))


def _bytes(dataset: Dataset, x: np.ndarray, ends: tuple[float, float]) -> np.ndarray:
    """The images as pixels 0-255."""
    low, high = ends
    return 255 * (dataset.pixels(x) - low) / ((high - low) or 1.0)


def _legend(figure: Any, axes: np.ndarray, grey: bool, spread: float) -> None:
    """What the colours mean: of perturbations, by a colour bar where they have one, and of the classes."""
    classes = "→ class that the network now sees, orange where it is wrong"
    if not grey:
        figure.supxlabel(f"perturbation: mid-grey means unchanged      {classes}", fontsize=9.5, color=INK)
        return
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    colours = ScalarMappable(Normalize(-(spread or 1.0), spread or 1.0), "RdBu_r")
    bar = figure.colorbar(colours, ax=axes, location="bottom", aspect=60, shrink=0.6, pad=0.02)
    bar.set_label(f"perturbation: blue makes a pixel darker, red brighter      {classes}", fontsize=9.5)
    bar.outline.set_visible(False)


def _row(
    axes: np.ndarray,
    images: np.ndarray,
    titles: Sequence[str],
    label: str,
    cmap: str = "gray",
    colours: Sequence[str] | None = None,
) -> None:
    """One row of images, 0-255; titles above them, the row's label at the left."""
    for i, (ax, image) in enumerate(zip(axes, images, strict=True)):
        ax.imshow(_displayable(image), cmap=cmap, vmin=0, vmax=255, interpolation="nearest")
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set(visible=True, color=GREY, lw=0.4)
        ax.set_title(titles[i], fontsize=9.5, pad=3, loc="center", color=colours[i] if colours else INK)
    axes[0].set_ylabel(label, rotation=0, ha="right", va="center", labelpad=10)


def _displayable(image: np.ndarray) -> np.ndarray:
    """(H, W) for grey and (H, W, 3) in [0, 1] for colour. image: (C, H, W)."""
    return image[0] if image.shape[0] == 1 else np.moveaxis(image, 0, -1).clip(0, 255) / 255


def _figure(
    width: float, height: float, rows: int, columns: int, heights: Sequence[float] | None = None
) -> tuple[Any, np.ndarray]:
    """A figure that no window system knows of, with its axes (rows, columns)."""
    require()
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with matplotlib.rc_context(STYLE):
        figure = Figure((width, height), layout="constrained")
        FigureCanvasAgg(figure)
        sizes = {} if heights is None else {"height_ratios": heights}
        return figure, figure.subplots(rows, columns, squeeze=False, sharex=columns == 1, gridspec_kw=sizes)


def _write(figure: Any, path: str | os.PathLike[str]) -> None:
    with nn.atomic_write(path) as file:
        figure.savefig(file, format="png", dpi=150, facecolor="white")
