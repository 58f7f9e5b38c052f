"""JAX on the CPU: every step compiled as a whole by `jax.jit`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.functional import Back, Losses
from benchmarks.numpy_net import forward
from benchmarks.ours import Array
from tinygrad2.kernels import Geometry


def convolve(x: Any, w: Any, geo: Geometry) -> Any:
    return jax.lax.conv_general_dilated(x, w, geo.stride, geo.padding)


class Jax(Losses):
    """One network with its batch."""

    xp = jnp
    constant = staticmethod(jax.lax.stop_gradient)

    def __init__(self, net: Any, x: Array, labels: Array) -> None:
        self.net = net
        self.x = jnp.asarray(x)
        self.labels = jnp.asarray(labels)
        self.p = {name: jnp.asarray(values) for name, values in net.state_dict().items()}
        self.found: Any = None

    @staticmethod
    def vjp(f: Callable[[Any], Any], x: Any) -> tuple[Any, Back]:
        value, back = jax.vjp(f, x)
        return value, lambda u: back(u)[0]

    def logits(self, p: Any, x: Any) -> Any:
        return forward(self.net, p, x, jnp, convolve)

    def rows(self, back: Back, u: Any) -> Any:
        return jax.vmap(back)(u)

    def steps(self) -> dict[str, Callable[[], float]]:
        """Every loss with its gradient by all parameters; the value is returned."""
        compiled = {name: jax.jit(jax.value_and_grad(f)) for name, f in self.losses().items()}
        return {name: lambda f=f: self._step(f) for name, f in compiled.items()}

    def _step(self, f: Callable[..., Any]) -> float:
        value, self.found = jax.block_until_ready(f(self.p, self.x, self.labels))
        return float(value)

    def gradient(self) -> Array:
        """All parameters' gradients, flat."""
        return np.concatenate([np.asarray(self.found[name]).ravel() for name in self.net.state_dict()])
