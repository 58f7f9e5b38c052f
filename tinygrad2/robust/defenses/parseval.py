"""Parseval training (Cissé et al. 2017, algorithm 1): after each step, weights move towards W Wᵀ = I.

The gradient step of β/4 ‖W Wᵀ - I‖² on a random choice of rows: W ← (1+β) W - β W Wᵀ W.
"""

from __future__ import annotations

import numpy as np

from tinygrad2.autodiff import Tensor, no_grad
from tinygrad2.nn import Layer
from tinygrad2.nn.init import Rng
from tinygrad2.ops import concatenate, matmul, reshape
from tinygrad2.robust.defenses.defense import Defense, Objective
from tinygrad2.robust.types import Integers


class Parseval(Defense):
    """After each step the rows of every weight move towards an orthonormal set, for a small Lipschitz constant.

    beta: how far; share: of the rows in [0, 1], chosen anew each time
    Deep Defense takes 1e-4 (MNIST), 3e-4 (CIFAR-10) and 0.3. Source: Cissé et al. 2017, algorithm 1.
    """

    def __init__(
        self, objective: Objective | None = None, *, beta: float = 1e-4, share: float = 0.3, rng: Rng = 0
    ) -> None:
        super().__init__(objective, rng)
        self.beta = beta
        self.share = share

    def after_step(self, net: Layer) -> None:
        """Move the weights towards orthonormal rows."""
        for w in net.parameters():
            if w.ndim > 1:  # biases and the scales of batch normalisation have no rows
                rows = self.rng.permutation(w.shape[0])[: max(1, round(self.share * w.shape[0]))]
                w.data = parseval_step(w, rows, self.beta)


def parseval_step(w: Tensor, rows: Integers, beta: float) -> Tensor:
    """W with W_S ← (1+β) W_S - β W_S W_Sᵀ W_S, S the rows.

    w: (O, ...), unfolded to (O, I·kh·kw); rows: indices of some of the O rows; result: like w

    >>> robust.parseval_step(tg.Tensor([[2.0, 0.0], [0.0, 1.0]]), np.array([0, 1]), 0.1).numpy().round(1)
    array([[1.4, 0. ],
           [0. , 1. ]])
    """
    with no_grad():
        unfolded = reshape(w, (w.shape[0], -1))
        rest = np.setdiff1d(np.arange(w.shape[0]), rows)
        s = unfolded[rows]
        moved = s * (1 + beta) - matmul(matmul(s, s.T), s) * beta
        order = np.argsort(np.concatenate([rest, rows]))
        return reshape(concatenate([unfolded[rest], moved])[order], w.shape)
