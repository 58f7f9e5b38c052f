"""Attack a network on all its test images: how often it is fooled, by how much, and the images that fooled it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tinygrad2 import nn, robust
from tinygrad2.data import Dataset
from tinygrad2.experiments import figures
from tinygrad2.experiments.config import nearest
from tinygrad2.experiments.folder import ELSEWHERE, make_folder
from tinygrad2.experiments.progress import Track
from tinygrad2.experiments.settings import Eval
from tinygrad2.nn import Layer
from tinygrad2.robust import AttackResult
from tinygrad2.robust.attack import check_epsilon

Array = np.ndarray[Any, Any]
BATCH = 100


class Attack(NamedTuple):
    """run(net, x, labels, settings, epsilon); the norm that it measures in; whether it needs an epsilon."""

    run: Callable[[Layer, Array, Array, Eval, float], AttackResult]
    norm: str
    needs_epsilon: bool


ATTACKS = {
    "deepfool": Attack(lambda net, x, y, s, _: robust.deepfool(net, x, y, mode=s.mode), "l2", False),
    "fgsm": Attack(lambda net, x, y, s, e: robust.fgsm(net, x, y, e, saturating=s.saturating), "l∞", True),
}


@dataclass(frozen=True)
class Outcome:
    """Of an attack on N images: arrays (N, ...) under the names that they have in adversarial.npz."""

    attack: str
    arrays: dict[str, Array]

    def __str__(self) -> str:
        a = self.arrays
        right = a["before"] == a["labels"]
        fooled = right & (a["after"] != a["labels"])
        lines = [f"{self.attack}: {right.sum():,} of {len(right):,} images were classified correctly; of these"]
        lines += [f"  fooled   {fooled.sum():,} ({100 * fooled.sum() / max(1, right.sum()):.2f} %)"]
        if fooled.any():
            norms = a["norms"][fooled]
            norm = ATTACKS[self.attack].norm
            spread = f"mean {norms.mean():.4g}, median {np.median(norms):.4g}, largest {norms.max():.4g}"
            lines += [f"  {norm} norm of what fooled them, in pixel units: {spread}"]
        return "\n".join(lines)


def check(name: str, epsilon: float | None) -> Attack:
    """The attack of that name, if it takes such an epsilon. Raises ValueError."""
    if name not in ATTACKS:
        raise ValueError(f"unknown attack {name!r}{nearest(name, ATTACKS)}; known: {', '.join(ATTACKS)}")
    chosen = ATTACKS[name]
    if chosen.needs_epsilon != (epsilon is not None):
        needs = "needs an epsilon, in pixel units: --epsilon 20" if chosen.needs_epsilon else "takes no epsilon"
        raise ValueError(f"the attack {name!r} {needs}")
    if epsilon is not None:
        check_epsilon(epsilon)
    return chosen


def attack(net: Layer, dataset: Dataset, name: str, settings: Eval, epsilon: float | None = None) -> Outcome:
    """Attack every test image. epsilon: l∞ size in pixel units, for the attacks that need it. Nothing is clipped."""
    chosen = check(name, epsilon)
    x, y = dataset.x_test, dataset.y_test
    slices = [slice(i, i + BATCH) for i in range(0, len(x), BATCH)]
    found = [
        chosen.run(net.eval(), x[part], y[part], settings, epsilon or 0.0) for part in Track(slices, len(slices), name)
    ]
    adversarial = np.concatenate([r.adversarial.numpy() for r in found])
    arrays = {
        "images": x,
        "adversarial": adversarial,
        "labels": y,
        "before": robust.predict(net, x),
        "after": robust.predict(net, adversarial),
        "norms": np.concatenate([r.norms for r in found]),
        "iterations": np.concatenate([r.iterations for r in found]),
    }
    if dataset.mean is not None:
        arrays["mean"] = dataset.mean  # images + mean: pixels 0-255
    return Outcome(name, arrays)


def prepare(out: str | os.PathLike[str]) -> Path:
    """The folder for the result, made before the work begins, so that no result lacks a place. Raises OSError."""
    path = Path(out)
    if (path / "adversarial.npz").exists():
        raise FileExistsError(f"{path} holds the result of an attack already; {ELSEWHERE}")
    figures.require()
    make_folder(path)
    with nn.atomic_write(path / "adversarial.npz.try"):
        pass
    (path / "adversarial.npz.try").unlink()
    return path


def save(outcome: Outcome, net: Layer, dataset: Dataset, out: Path) -> None:
    """adversarial.npz, and a picture of one image of each class."""
    nn.save(out / "adversarial.npz", outcome.arrays)
    a, at = outcome.arrays, figures.one_of_each({"": net}, dataset)
    notes = [f"{ATTACKS[outcome.attack].norm} {size:.3g}" for size in a["norms"][at]]
    found = {outcome.attack: (a["adversarial"][at], notes)}
    figures.grid(dataset, a["images"][at], a["labels"][at], found, {outcome.attack: net}, out / "adversarial.png")
