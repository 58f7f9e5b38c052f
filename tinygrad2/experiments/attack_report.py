"""What an attack on a test set found, in words and in a picture; the diagnostics of its batches as one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tinygrad2 import nn
from tinygrad2.data import Dataset
from tinygrad2.experiments import figures
from tinygrad2.experiments.attack_options import AttackPlan
from tinygrad2.experiments.progress import say
from tinygrad2.nn import Layer
from tinygrad2.robust import Diagnostic

RESULT = "adversarial.npz"


@dataclass(frozen=True)
class AttackReport:
    """What an attack on N images found. Print it.

    units: what the numbers in the images are
    crafted_on: the name of the other network that the images were crafted on; None for an attack on the network itself
    arrays: (N, ...), under the names that they have in adversarial.npz
    """

    plan: AttackPlan
    units: str
    crafted_on: str | None
    arrays: dict[str, np.ndarray]
    diagnostic: Diagnostic | None

    def __str__(self) -> str:
        a = self.arrays
        box = self.plan.options.get("box")
        right = a["before"] == a["labels"]
        fooled = right & (a["after"] != a["labels"])
        still = (right & ~fooled).mean()
        where = "not clipped" if box is None else f"clipped to the box of pixels {box[0]:g} to {box[1]:g}"
        lines = [f"{self.plan}; images in {self.units}, {where}"]
        if self.crafted_on is not None:
            lines += [f"black box: crafted on {self.crafted_on}, tested on another network"]
        lines += [f"{right.sum():,} of {len(right):,} images were classified correctly; of these"]
        lines += [f"  fooled   {fooled.sum():,} ({100 * fooled.sum() / max(1, right.sum()):.2f} %)"]
        if "targets" in a:
            could = right & (a["labels"] != a["targets"])
            taken = (could & (a["after"] == a["targets"])).sum()
            share = f"{taken:,} of {could.sum():,} ({100 * taken / max(1, could.sum()):.2f} %)"
            lines += [f"  taken for the target ({self.plan.targets})   {share}, without those of that label"]
        if fooled.any():
            norms = a["norms"][fooled]
            spread = f"mean {norms.mean():.4g}, median {np.median(norms):.4g}, largest {norms.max():.4g}"
            lines += [f"  {self.plan.norm} norm of what fooled them: {spread}"]
        return "\n".join([*lines, f"accuracy left: {100 * still:.2f} %", *_in_words(self.diagnostic, self.crafted_on)])


def _in_words(d: Diagnostic | None, crafted_on: str | None) -> list[str]:
    """The lines of the report that tell the diagnostic."""
    if d is None:
        return []
    whose = f" of {crafted_on}" if crafted_on else ""
    zero = f"gradient exactly 0 for {100 * d.zero_gradients:.2f} % of the images classified correctly"
    lines = [f"diagnostic{whose}: {zero}; the cross-entropy changes by {d.loss_change:+.4g} on average"]
    lines += [f"  probe {probe} fools {100 * share:.2f} %" for probe, share in d.probes.items()]
    return [*lines, *(f"  warning: {sentence}" for sentence in d.warnings)]


def units(dataset: Dataset) -> str:
    """What the numbers in the images are."""
    if dataset.mean is not None:
        return "pixel units, centred"
    return "units of their own" if dataset.box is None else f"pixels {dataset.box[0]:g} to {dataset.box[1]:g}"


def write(report: AttackReport, net: Layer, dataset: Dataset, out: Path) -> None:
    """A picture of one image of each class, and last, for it says that all is done, adversarial.npz."""
    a = report.arrays
    if reason := figures.why_no_images({"": net}, dataset):
        say(f"no adversarial.png: {reason}")
    else:
        at = figures.one_of_each({"": net}, dataset)
        notes = [f"{report.plan.norm} {size:.3g}" for size in a["norms"][at]]
        found = {report.plan.attack: (a["adversarial"][at], notes)}
        nets = {report.plan.attack: net}
        figures.grid(dataset, a["images"][at], a["labels"][at], found, nets, out / "adversarial.png")
    nn.save(out / RESULT, {**a, "report": np.asarray(str(report))})
