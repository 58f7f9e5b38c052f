"""Layers made of layers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tinygrad2.autodiff import Tensor
from tinygrad2.nn import reverse as r
from tinygrad2.nn.layer import Layer
from tinygrad2.nn.layers import Applied, Identity


class Sequential(Layer):
    """Layers one after the other: `Sequential(a, b)`, or with names, `Sequential(conv1=a, fc=b)` or `Sequential({"conv1": a})`."""

    def __init__(self, *layers: Layer | Mapping[str, Layer], **named: Layer) -> None:
        self.layers: dict[str, Layer] = {}
        for part in layers:
            self.layers.update(part if isinstance(part, Mapping) else {str(len(self.layers)): part})
        self.layers.update(named)
        for name, layer in self.layers.items():
            if not isinstance(layer, Layer):
                raise TypeError(f"Sequential: {name!r} must be a layer, got {type(layer).__name__}")

    def apply(self, x: Tensor) -> Applied:
        steps = []
        for name, layer in self.layers.items():
            try:
                x, reverse = layer.apply(x)
            except (ValueError, TypeError) as error:
                raise type(error)(f"layer {name!r}, {layer!r}: {error}") from None
            steps.append(r.Step(name, repr(layer), x.shape, reverse))
        return x, r.ReverseSequential(tuple(steps))

    def children(self) -> Iterator[tuple[str, Layer]]:
        return iter(self.layers.items())

    def __getitem__(self, key: int | str) -> Layer:
        return self.layers[key] if isinstance(key, str) else list(self.layers.values())[key]

    def __len__(self) -> int:
        return len(self.layers)

    def __repr__(self) -> str:
        return f"Sequential({', '.join(f'{name}={layer!r}' for name, layer in self.layers.items())})"


class Residual(Layer):
    """body(x) + shortcut(x); the shortcut is the identity where none is given. He et al. 2016."""

    def __init__(self, body: Layer, shortcut: Layer | None = None) -> None:
        self.body = body
        self.shortcut = Identity() if shortcut is None else shortcut

    def apply(self, x: Tensor) -> Applied:
        y, body = self.body.apply(x)
        z, shortcut = self.shortcut.apply(x)
        if y.shape != z.shape:
            raise ValueError(f"Residual: the body gives shape {y.shape}, the shortcut {z.shape}; give a shortcut layer that matches")
        return y + z, r.ReverseResidual(body, shortcut)

    def __repr__(self) -> str:
        return f"Residual({self.body!r}, {self.shortcut!r})"
