"""The order in which an epoch visits the images: a function of (seed, epoch) and of nothing else.

So a run that resumes in mid-epoch skips the k batches already done and continues exactly:
`itertools.islice(batches(n, batch_size, seed, epoch), k, None)`.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator

import numpy as np

__all__ = ["batches"]


def batches(
    n: int, batch_size: int, seed: int, epoch: int, shuffle: bool = True, drop_last: bool = False
) -> Iterator[np.ndarray]:
    """The indices of the images in each batch of one epoch; together they visit each of n images once.

    seed, epoch: the order depends on them alone. Result: arrays (B,) int64
    drop_last: leave out a last batch smaller than batch_size
    Raises ValueError for anything below its least value, and where drop_last would leave no batch at all.

    >>> [len(batch) for batch in data.batches(n=5, batch_size=2, seed=0, epoch=0)]
    [2, 2, 1]
    """
    for name, value, least in (("n", n, 1), ("batch_size", batch_size, 1), ("seed", seed, 0), ("epoch", epoch, 0)):
        if operator.index(value) < least:
            raise ValueError(f"batches: {name}: expected an integer of at least {least}, got {value}")
    if drop_last and batch_size > n:
        raise ValueError(f"batches: drop_last with batch_size {batch_size} leaves no batch of {n} images")
    order = np.random.default_rng([seed, epoch]).permutation(n) if shuffle else np.arange(n)
    stop = n - n % batch_size if drop_last else n
    return (order[start : start + batch_size] for start in range(0, stop, batch_size))
