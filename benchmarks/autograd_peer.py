"""HIPS autograd: NumPy on a tape. Its convolution is `autograd.scipy.signal.convolve`, every stride computed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import autograd.numpy as anp
import numpy as np
from autograd import make_vjp, value_and_grad
from autograd.scipy.signal import convolve as windows
from autograd.tracer import getval, isbox

from benchmarks.functional import Back, Losses
from benchmarks.numpy_net import forward
from benchmarks.ours import Array
from tinygrad2.kernels import Geometry


def convolve(x: Any, w: Any, geo: Geometry) -> Any:
    x = anp.pad(x, ((0, 0), (0, 0), *geo.padding), "constant")
    y = windows(x, w[:, :, ::-1, ::-1], axes=([2, 3], [2, 3]), dot_axes=([1], [1]), mode="valid")
    return y[:, :, :: geo.stride[0], :: geo.stride[1]]


def value(x: Any) -> Any:
    while isbox(x):
        x = getval(x)
    return x


class Autograd(Losses):
    """One network with its batch."""

    xp = anp
    constant = staticmethod(value)

    def __init__(self, net: Any, x: Array, labels: Array) -> None:
        self.net = net
        self.x = x
        self.labels = labels
        self.p = net.state_dict()
        self.found: Any = None

    @staticmethod
    def vjp(f: Callable[[Any], Any], x: Any) -> tuple[Any, Back]:
        back, result = make_vjp(f)(x)
        return result, back

    def logits(self, p: Any, x: Any) -> Any:
        return forward(self.net, p, x, anp, convolve)

    def rows(self, back: Back, u: Any) -> Any:
        return anp.stack([back(u_k) for u_k in u])

    def steps(self) -> dict[str, Callable[[], float]]:
        """Every loss with its gradient by all parameters; the value is returned."""
        taped = {name: value_and_grad(f) for name, f in self.losses().items()}
        return {name: lambda f=f: self._step(f) for name, f in taped.items()}

    def _step(self, f: Callable[..., Any]) -> float:
        loss, self.found = f(self.p, self.x, self.labels)
        return float(loss)

    def gradient(self) -> Array:
        """All parameters' gradients, flat."""
        return np.concatenate([self.found[name].ravel() for name in self.net.state_dict()])
