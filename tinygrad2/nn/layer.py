"""A layer: its fields are its parameters and settings, and `apply` gives its output together with its reverse layer.

One method says it all, so the forward pass and its reverse cannot drift apart. Calling a layer takes the output and drops the reverse.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any, Self

import numpy as np

from tinygrad2.autodiff import Tensor
from tinygrad2.kernels.backend import to_device
from tinygrad2.nn.reverse import ReverseLayer
from tinygrad2.nn.trace import Trace


class Layer:
    """Base of all layers. A Tensor attribute that requires a gradient is a parameter, any other a buffer; a Layer attribute is a child."""

    training: bool = True

    def apply(self, x: Tensor) -> tuple[Tensor, ReverseLayer]:
        """The output at x, and the reverse layer at x. Every layer defines this."""
        raise NotImplementedError(f"{type(self).__name__} must define apply(x) -> (output, reverse layer)")

    def __call__(self, x: Any) -> Tensor:
        return self.apply(_as_input(x))[0]

    def trace(self, x: Any) -> Trace:
        """A forward pass that keeps what the reverse layers share."""
        x = _as_input(x)
        y, reverse = self.apply(x)
        return Trace(repr(self), x, y, reverse)

    def children(self) -> Iterator[tuple[str, Layer]]:
        """The layers directly inside this one, with their names."""
        return ((name, value) for name, value in vars(self).items() if isinstance(value, Layer))

    def named_tensors(self, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
        """Parameters and buffers under dotted names, in order of definition."""
        for name, value in vars(self).items():
            if isinstance(value, Tensor):
                yield prefix + name, value
        for name, child in self.children():
            yield from child.named_tensors(f"{prefix}{name}.")

    def named_parameters(self) -> Iterator[tuple[str, Tensor]]:
        """The tensors that training changes, under dotted names such as "conv1.weight"."""
        return ((name, t) for name, t in self.named_tensors() if t.requires_grad)

    def parameters(self) -> list[Tensor]:
        """The tensors that training changes."""
        return [t for _, t in self.named_parameters()]

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters."""
        for p in self.parameters():
            p.grad = None

    def train(self, mode: bool = True) -> Self:
        """Switch dropout and batch normalisation to training, here and in all layers inside."""
        self.training = mode
        for _, child in self.children():
            child.train(mode)
        return self

    def eval(self) -> Self:
        """Switch dropout off and batch normalisation to its running statistics."""
        return self.train(False)

    def to(self, device: str) -> Self:
        """Move all parameters and buffers to "cpu" or "cuda", in place."""
        for owner, name, t in list(self._owned_tensors()):
            setattr(owner, name, Tensor(to_device(t.array, device), t.requires_grad, t.name))
        return self

    def _owned_tensors(self) -> Iterator[tuple[Layer, str, Tensor]]:
        yield from ((self, name, value) for name, value in vars(self).items() if isinstance(value, Tensor))
        for _, child in self.children():
            yield from child._owned_tensors()

    def state_dict(self) -> dict[str, np.ndarray[Any, Any]]:
        """Parameters and buffers as host arrays under dotted names."""
        return {name: t.numpy() for name, t in self.named_tensors()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over values saved by `state_dict`; nothing is changed unless every name and shape fits."""
        own = dict(self.named_tensors())
        missing, unknown = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys())
        if missing or unknown:
            hints = [f"{u!r}{f' (did you mean {close[0]!r}?)' if (close := get_close_matches(u, own, 1)) else ''}" for u in unknown]
            raise ValueError(
                f"the state does not fit {self!r}: missing {', '.join(missing) or 'nothing'}; unknown {', '.join(hints) or 'nothing'}"
            )
        for name, t in own.items():
            if tuple(state[name].shape) != t.shape:
                raise ValueError(f"{name}: expected shape {t.shape}, the state has {tuple(state[name].shape)}")
            if state[name].dtype != t.dtype:
                raise ValueError(f"{name}: expected {t.dtype}, the state has {state[name].dtype}; convert it first")
        for name, t in own.items():
            t.data = to_device(np.asarray(state[name]), t.device)

    def __repr__(self) -> str:
        settings = [f"{k}={v!r}" for k, v in vars(self).items() if isinstance(v, int | float | str | tuple) and k != "training"]
        return f"{type(self).__name__}({', '.join(settings)})"


def _as_input(x: Any) -> Tensor:
    return x if isinstance(x, Tensor) else Tensor(x)
