"""‖J^(L-1)‖_F, the Jacobian of what the last fully connected layer sees (Jakubovitz & Giryes 2018, appendix A).

The bound d* ≥ min_k |z_k* - z_k| / (√2 ‖J^(L-1)‖_F) holds where the last weight matrix has orthonormal columns, which
`fix_last_layer` sees to; without it the penalty is that of the paper's table 6.
"""

from __future__ import annotations

import numpy as np

from tinygrad2.autodiff import Tensor
from tinygrad2.nn import Layer, Linear, Trace
from tinygrad2.nn.init import Rng, orthonormal
from tinygrad2.nn.reverse import ReverseSequential
from tinygrad2.robust.penalties.jacobian import FROBENIUS, last_layer
from tinygrad2.robust.penalties.reduction import pick


def penultimate_frobenius(trace: Trace, *, reduction: str = "root") -> Tensor:
    """‖J^(L-1)‖_F of the input of the last Linear layer, M rows instead of K. Jacobian regularisation, appendix A.

    trace: of a Sequential that ends in a Linear of M inputs; result: a scalar
    reduction: as for `jacobian_frobenius`, with the same λ

    Time and memory grow with M (1,024 for the paper's net): the paper reduces the batch to 50.
    Raises ValueError for another kind of network.

    >>> net = nn.Sequential(nn.Flatten(), nn.Linear(2, 3))  # what the Linear sees are the pixels
    >>> round(robust.penultimate_frobenius(net.trace(np.ones((1, 2), np.float32))).item(), 3)
    1.414
    """
    steps = getattr(trace.reverse().layer, "steps", ())
    last = steps[-1].layer if steps else None
    if not isinstance(last, Linear):
        raise ValueError(f"the network must be a Sequential that ends in a Linear layer; got {trace.net.brief()}")
    n = trace.output.shape[0]
    m = last.weight.shape[1]
    one_hot = np.broadcast_to(np.eye(m, dtype=trace.output.dtype)[:, None], (m, n, m))
    lead, of = pick(FROBENIUS, reduction, "reduction")
    body = ReverseSequential(steps[:-1])
    return of(body.squared_norms(Tensor(one_hot).to(trace.output.device), lead), n)


def fix_last_layer(net: Layer, rng: Rng = None) -> None:
    """Give the last Linear layer K orthonormal weight vectors that training leaves alone; its bias is still trained.

    net: ends in a Linear layer. rng: a seed or a generator
    Make the optimizer afterwards. Raises ValueError where K vectors of M < K numbers cannot be orthonormal.
    """
    last = last_layer(net)
    if not isinstance(last, Linear):
        raise ValueError(f"the network must end in a Linear layer; got {net.brief()}")
    w = last.weight
    last.weight = Tensor(orthonormal(w.shape, rng, w.dtype).array).to(w.device)  # a buffer now, no parameter
