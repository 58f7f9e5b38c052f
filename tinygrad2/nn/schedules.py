"""How the learning rate falls, and when training ends: functions of the epoch or of the scores so far.

The list of scores, one for each epoch that is done, is all that a checkpoint needs. More is better, as of accuracies.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence


def step(epoch: float, milestones: Iterable[float], factor: float) -> float:
    """What multiplies the first learning rate in this epoch, counted from 0: `factor` for each milestone reached.

    Smooth gradient method: milestones 10 and 20, factor 0.1. Deep Defense: 80 % of the epochs, factor 0.5.

    >>> [nn.schedules.step(epoch, [2, 4], 0.5) for epoch in range(5)]
    [1.0, 1.0, 0.5, 0.5, 0.25]
    """
    return factor ** sum(epoch >= m for m in milestones)


def plateau(scores: Sequence[float], factor: float = 0.1, patience: int = 10, tolerance: float = 1e-4) -> float:
    """What multiplies the first learning rate next: `factor` each time `patience` epochs brought no better score.

    scores: one accuracy for each epoch that is done. tolerance: by how much a score must pass the best before it to be
    better. Raises ValueError for a score that is no number, or a setting out of range.

    >>> nn.schedules.plateau([0.5, 0.6, 0.6, 0.6], factor=0.5, patience=2)
    0.5
    """
    _check(scores, tolerance, patience=patience)
    best = -math.inf
    waited = 0
    drops = 0
    for score in scores:
        waited += 1
        if score > best + tolerance:
            best = score
            waited = 0
        if waited == patience:
            waited = 0
            drops += 1
    return factor**drops


def settled(scores: Sequence[float], after: int = 10, tolerance: float = 1e-4) -> bool:
    """Whether to stop: more than `after` epochs are done, and the last moved the score by less than `tolerance`.

    l1-norm double backpropagation, section 4.1, on the validation accuracy. scores: one for each epoch that is done.
    Raises ValueError for a score that is no number, or a setting out of range.

    >>> nn.schedules.settled([0.5, 0.6, 0.6], after=2)
    True
    """
    _check(scores, tolerance, after=after)
    return len(scores) > after and abs(scores[-1] - scores[-2]) < tolerance


def _check(scores: Sequence[float], tolerance: float, **epochs: int) -> None:
    for name, count in epochs.items():
        if count < 1:
            raise ValueError(f"{name}: expected a number of epochs, at least 1; got {count}")
    if not tolerance >= 0:
        raise ValueError(f"tolerance: expected 0 or more, got {tolerance}")
    if any(map(math.isnan, scores)):
        raise ValueError(f"scores: expected one accuracy for each epoch, got {list(scores)}")
