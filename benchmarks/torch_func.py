"""PyTorch as its functional users write it, `torch.func`, alone and compiled by `torch.compile`.

Compiled double backward fails in the eager style ("does not currently support double backward"); in this style the
inner gradient is part of the compiled function, and it works.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.func import functional_call, grad_and_value, vjp, vmap

from benchmarks.functional import Back, Losses
from benchmarks.ours import Array
from benchmarks.torch_eager import twin


class Functional(Losses):
    """One network with its batch."""

    xp = torch
    constant = staticmethod(torch.Tensor.detach)

    def __init__(self, net: Any, x: Array, labels: Array) -> None:
        self.net = twin(net, x.shape[2:])
        self.x = torch.tensor(x)
        self.labels = torch.tensor(labels)
        self.p = {name: values.detach() for name, values in self.net.named_parameters()}
        self.found: Any = None

    @staticmethod
    def vjp(f: Callable[[Any], Any], x: Any) -> tuple[Any, Back]:
        value, back = vjp(f, x)
        return value, lambda u: back(u)[0]

    def logits(self, p: Any, x: Any) -> Any:
        return functional_call(self.net, p, (x,))

    def rows(self, back: Back, u: Any) -> Any:
        return vmap(back)(u)

    def steps(self) -> dict[str, Callable[[], float]]:
        """Every loss with its gradient by all parameters; the value is returned."""
        transformed = {name: self.transform(f) for name, f in self.losses().items()}
        return {name: lambda f=f: self._step(f) for name, f in transformed.items()}

    def transform(self, loss: Callable[..., Any]) -> Callable[..., Any]:
        return grad_and_value(loss)

    def _step(self, f: Callable[..., Any]) -> float:
        self.found, value = f(self.p, self.x, self.labels)
        return float(value.item())

    def gradient(self) -> Array:
        """All parameters' gradients, flat."""
        return np.concatenate([g.numpy().ravel() for g in self.found.values()])


class Compiled(Functional):
    """The same, compiled for the batch's shape; not Deep Defense, which takes a minute to compile and gains nothing."""

    def losses(self) -> dict[str, Callable[..., Any]]:
        found = super().losses()
        del found["deep defense"]
        return found

    def transform(self, loss: Callable[..., Any]) -> Callable[..., Any]:
        return torch.compile(grad_and_value(loss), dynamic=False)
