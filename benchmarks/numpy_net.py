"""A tinygrad2 Sequential rebuilt with another library's NumPy: its parameters as arrays, its layers as formulas."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tinygrad2.kernels import Geometry

Convolve = Callable[[Any, Any, Geometry], Any]  # (N, C, H, W), (O, C, kh, kw) -> (N, O, PH, PW)


def forward(net: Any, p: Mapping[str, Any], x: Any, xp: Any, convolve: Convolve) -> Any:
    """z = net(x) with the parameters p, by the names of `state_dict`. Pools must divide the image."""
    for name, layer in net.layers.items():
        kind = type(layer).__name__
        if kind == "Conv2d":
            geo = Geometry.of(x.shape[2:], layer.weight.shape[2:], layer.stride, layer.padding)
            x = convolve(x, p[f"{name}.weight"], geo) + p[f"{name}.bias"][:, None, None]
        elif kind == "MaxPool2d":
            n, c, h, w = x.shape
            k = layer.kernel_size
            x = x.reshape(n, c, h // k, k, w // k, k).max((3, 5))
        elif kind == "Linear":
            x = x @ p[f"{name}.weight"].T + p[f"{name}.bias"]
        else:
            x = {"ReLU": lambda x: xp.maximum(x, 0), "Flatten": lambda x: x.reshape(len(x), -1)}[kind](x)
    return x
