"""What an attack found, and what it can tell of itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from tinygrad2.autodiff import Tensor
from tinygrad2.robust.types import Flags, Integers


@dataclass(frozen=True)
class Diagnostic:
    """Whether an attack had a gradient to follow, and the signs that the gradient misled it (gradient masking).

    zero_gradients: share in [0, 1] of the correctly classified samples whose gradient at x is exactly 0
    loss_change: mean cross-entropy at the adversarial points minus that at x
    probes: for each probe of `diagnose`, the share of the samples in [0, 1] that it fools
    warnings: sentences
    """

    zero_gradients: float
    loss_change: float
    probes: Mapping[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, repr=False)
class AttackResult:
    """What an attack found, for each of N samples. It prints as a table.

    adversarial: (N, ...), the perturbed batch
    success: (N,), whether the network, in evaluation mode, gives the perturbed sample another class than its label, or
        the class that it was to reach where the attack is targeted
    norms: (N,), size of the perturbation in the norm that `norm` names, in the units of x
    iterations: (N,), steps taken until the point that is returned; 0 where that is x itself
    diagnostic: what the attack can tell of itself
    norm: "l2", "l∞" ...

    >>> robust.fgsm(nn.Flatten(), np.array([[2.0, 1.0]]), [0], 0.6)  # the logits are the pixels
    AttackResult of 1 image (2,)
    fooled             1 of 1 (100.00 %)
    l∞ norm, fooled    least 0.6, median 0.6, mean 0.6, largest 0.6
    steps              1 to 1
    gradient 0 at x    0.00 % of the images classified right
    cross-entropy      +0.4849 on average
    """

    adversarial: Tensor
    success: Flags
    norms: np.ndarray
    iterations: Integers
    diagnostic: Diagnostic | None = None
    norm: str = ""

    def __repr__(self) -> str:
        n = len(self.success)
        fooled = int(self.success.sum())
        lines = [f"{type(self).__name__} of {n:,} image{'s' * (n > 1)} {self.adversarial.shape[1:]}"]
        lines += [_row("fooled", f"{fooled:,} of {n:,} ({100 * fooled / n:.2f} %)")]
        if fooled:
            lines += [_row(f"{self.norm} norm, fooled".lstrip(), _spread(self.norms[self.success]))]
        lines += [_row("steps", f"{self.iterations.min():,} to {self.iterations.max():,}")]
        return "\n".join([*lines, *_told(self.diagnostic)])


def _row(name: str, value: str) -> str:
    return f"{name:<18} {value}"


def _spread(norms: np.ndarray) -> str:
    """The sizes (M,) of what fooled the network, in four numbers."""
    four = (norms.min(), np.median(norms), norms.mean(dtype=np.float64), norms.max())
    return "least {:.4g}, median {:.4g}, mean {:.4g}, largest {:.4g}".format(*four)


def _told(d: Diagnostic | None) -> list[str]:
    """The lines of the table that tell the diagnostic."""
    if d is None:
        return []
    lines = [_row("gradient 0 at x", f"{100 * d.zero_gradients:.2f} % of the images classified right")]
    lines += [_row("cross-entropy", f"{d.loss_change:+.4g} on average")]
    lines += [_row(f"probe {name}", f"fools {100 * share:.2f} %") for name, share in d.probes.items()]
    return [*lines, *(_row("warning", sentence) for sentence in d.warnings)]


def merged(notes: Sequence[Diagnostic | None], sizes: Sequence[int], right: Sequence[int]) -> Diagnostic | None:
    """The diagnostic of all batches: shares of their samples weighted, and each warning once.

    sizes: images in each batch; right: those of them that are classified correctly
    """
    given = [note for note in notes if note is not None]
    if len(given) < len(notes):
        return None
    counts = Counter(sentence for note in given for sentence in note.warnings)
    warnings = [f"{sentence} (in {n} of {len(notes)} batches)" for sentence, n in counts.items()]
    return Diagnostic(
        _mean([note.zero_gradients for note in given], right),
        _mean([note.loss_change for note in given], sizes),
        {probe: _mean([note.probes[probe] for note in given], sizes) for probe in given[0].probes},
        tuple(counts if len(notes) == 1 else warnings),
    )


def _mean(values: Sequence[float], weights: Sequence[int]) -> float:
    return float(np.average(values, weights=weights)) if any(weights) else 0.0
