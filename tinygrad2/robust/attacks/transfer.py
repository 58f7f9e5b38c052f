"""What an attack on one network does to another: the transfer matrix (logit-gradient regularisation, tables 4 to 6).

A network that is tested on what was crafted on itself is a white-box attack, not transfer: such entries are kept apart,
recognised by equal parameters, so that one training run under two names does not count as two.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from tinygrad2.nn import Layer
from tinygrad2.robust.attacks.result import AttackResult
from tinygrad2.robust.batches import Progress, in_batches
from tinygrad2.robust.evaluation import correct
from tinygrad2.robust.types import Flags, Images


@dataclass(frozen=True)
class TransferMatrix:
    """Accuracies of n networks, as shares of all images in [0, 1]. Print it.

    names: of the networks
    clean: (n,), on the images themselves
    accuracy: (n, n), of network j, the column, on what was crafted on network i
    white_box: (n, n), whether networks i and j are the same one
    """

    names: tuple[str, ...]
    clean: np.ndarray
    accuracy: np.ndarray
    white_box: Flags

    def transfer(self) -> np.ndarray:
        """The accuracies (n, n) with nan where a network was tested on itself."""
        return np.where(self.white_box, np.nan, self.accuracy)

    def __str__(self) -> str:
        shown = [f"{100 * a:.2f} " for a in self.clean]
        rows = [("crafted on", *(f"{name} " for name in self.names)), ("(clean)", *shown)]
        for name, accuracies, own in zip(self.names, self.accuracy, self.white_box, strict=True):
            shown = [f"({100 * a:.2f})" if same else f"{100 * a:.2f} " for a, same in zip(accuracies, own, strict=True)]
            rows.append((name, *shown))
        widths = [max(map(len, column)) + 2 for column in zip(*rows, strict=True)]
        lines = ["".join(map(str.rjust, row, widths)).rstrip() for row in rows]
        return "\n".join(
            [*lines, "accuracy in %; (in parentheses): the network attacked itself, which is not transfer"]
        )


def transfer_matrix(
    attack: Callable[[Layer, np.ndarray, np.ndarray], AttackResult],
    nets: Mapping[str, Layer],
    x: np.ndarray,
    labels: np.ndarray,
    *,
    batch_size: int = 100,
    progress: Progress | None = None,
) -> TransferMatrix:
    """Craft on each network, and test on every other.

    attack: attack(net, x, labels) → AttackResult
    nets: name → network, at least two, which should be training runs of their own (other seeds); they are tested in
        evaluation mode
    x: (N, ...); labels: (N,)
    progress: wraps the list of batches

    Source: logit-gradient regularisation (Yu et al. 2018), tables 4 to 6.
    """
    if len(nets) < 2:
        raise ValueError(f"transfer needs at least two networks, one to craft on and one to test; got {len(nets)}")

    def right(part: slice) -> np.ndarray:
        """For each image, whether network j is right on what was crafted on network i - 1, or on the image itself."""
        crafted = [attack(net, x[part], labels[part]).adversarial for net in nets.values()]
        batches: list[Images] = [x[part], *crafted]
        found = [[correct(net, images, labels[part]) for net in nets.values()] for images in batches]
        return np.moveaxis(np.array(found), -1, 0)

    clean, *accuracies = in_batches(right, len(x), batch_size, progress).mean(0)
    same = np.array([[same_network(a, b) for b in nets.values()] for a in nets.values()])
    return TransferMatrix(tuple(nets), clean, np.array(accuracies), same)


def same_network(a: Layer, b: Layer) -> bool:
    """Whether the two compute one function because they are built alike and hold equal parameters."""
    left = a.state_dict()
    right = b.state_dict()
    equal = left.keys() == right.keys() and all(np.array_equal(left[name], right[name]) for name in left)
    return a is b or (repr(a) == repr(b) and equal)
