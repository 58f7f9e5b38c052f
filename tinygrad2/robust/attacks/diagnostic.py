"""Is a net robust, or does its gradient only mislead the attack? Signs of gradient masking (Athalye et al. 2018).

A gradient attack should fool more than attacks that know less: random noise, random search, one step, another net's
adversarial images. And it should fool as much as the same steps taken on an exact gradient. Each of these is a probe of
the same l∞ size on the same images.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from tinygrad2.nn import Layer
from tinygrad2.robust.attacks.base import Task, check_epsilon, lengths
from tinygrad2.robust.attacks.fgsm import fgsm
from tinygrad2.robust.attacks.pgd import bim
from tinygrad2.robust.attacks.probes import random_noise, square
from tinygrad2.robust.attacks.result import AttackResult, Diagnostic
from tinygrad2.robust.evaluation import evaluated
from tinygrad2.robust.types import Box, Flags, Images, Labels


class Probe(NamedTuple):
    """run(net, x, labels, epsilon, box, rng), and what it means that it fools more than the attack."""

    run: Callable[..., AttackResult]
    meaning: str
    beats_one_step: bool = False  # as it may: no sign of masking if the attack takes a single step


PROBES = {
    "random_noise": Probe(
        lambda net, x, y, e, box, rng: random_noise(net, x, y, e, box=box, rng=rng),
        "random noise fools more than the attack: its gradient points nowhere",
    ),
    "fgsm": Probe(
        lambda net, x, y, e, box, rng: fgsm(net, x, y, e, box=box),
        "one step along the sign of the exact gradient fools more than the attack",
    ),
    "bim": Probe(
        lambda net, x, y, e, box, rng: bim(net, x, y, e, box=box),
        "BIM's ten steps up the exact cross-entropy fool more than the attack's steps",
        beats_one_step=True,
    ),
    "square": Probe(
        lambda net, x, y, e, box, rng: square(net, x, y, e, box=box, rng=rng),
        "random search without gradients fools more than the attack's steps",
        beats_one_step=True,
    ),
}
TRANSFER = Probe(bim, "adversarial images made on another net fool more than the attack on this one")
CHANCE = 0.05  # a warning needs a difference less likely than this between equally strong attacks


# fmt: off
@evaluated
def diagnose(
    net: Layer, x: Images, labels: Labels | None, result: AttackResult, epsilon: float, *,
    other: Layer | None = None, rng: int = 0, box: Box | None = None,
) -> Diagnostic:
    """The attack's diagnostic, with every probe run, and what speaks of gradient masking named.

    x: (N, ...); labels: (N,), or None for the classes that the net gives
    result: of an attack on x of at most the size epsilon
    epsilon: l∞ size of the probes, in the units of x
    other: a net trained on its own, for the black-box probe: BIM on it, tried on this net
    rng: seed of the random probes
    box: lowest and highest pixel

    A probe that fools more images than the attack, by a sign test over the images, is a warning; so are gradients that
    are exactly zero and a loss that did not rise. Raises ValueError if the result's perturbations are larger than
    epsilon. Source: Athalye et al. 2018, section 3.1.

    >>> x = np.array([[2.0, 1.0]])
    >>> robust.diagnose(nn.Flatten(), x, [0], robust.fgsm(nn.Flatten(), x, [0], 0.6), 0.6).probes["fgsm"]
    1.0
    """
    # fmt: on
    check_epsilon(epsilon)
    task = Task(net, x, labels, box)
    x = task.x
    labels = task.aim.labels
    reach = lengths(result.adversarial - x, np.inf).max()
    if reach > epsilon * (1 + 1e-5) + np.spacing(np.abs(x.numpy()).max()):
        raise ValueError(
            f"the attack moved a pixel by {reach:g}, the probes only by epsilon = {epsilon:g}; give its size"
        )
    probes = {name: (p.run(net, x, labels, epsilon, box, rng).success, p) for name, p in PROBES.items()}
    if other is not None:
        crafted = bim(other, x, labels, epsilon, box=box).adversarial
        probes["transfer"] = task.aim.reached(net(crafted).detach()), TRANSFER
    cheap = result.diagnostic or Diagnostic(math.nan, math.nan)
    found = list(cheap.warnings)
    if cheap.zero_gradients > 0:
        found.append(f"the gradient is exactly zero for {cheap.zero_gradients:.1%} of the images classified right")
    if cheap.loss_change < 0:
        found.append(f"the attack lowered the loss, by {-cheap.loss_change:.3g}")
    for fooled, probe in probes.values():
        if stronger(fooled, result.success) and not (probe.beats_one_step and result.iterations.max() <= 1):
            found.append(f"{probe.meaning} ({fooled.mean():.1%} against {result.success.mean():.1%})")
    share = {name: float(fooled.mean()) for name, (fooled, _) in probes.items()}
    return replace(cheap, probes=share, warnings=tuple(found))


def stronger(probe: Flags, attack: Flags) -> bool:
    """Whether the probe fools more, by the sign test over the images that only one of the two fools. Both: (N,)."""
    only = int((probe & ~attack).sum())
    n = only + int((attack & ~probe).sum())
    outcomes = sum(math.comb(n, k) for k in range(only, n + 1))
    return bool(outcomes < CHANCE * 2**n)
