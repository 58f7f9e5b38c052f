"""All that a network changes while it runs: attributes, buffers, generators, and what its lists and arrays hold."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad2.autodiff import Tensor
from tinygrad2.autodiff.effects import Restore
from tinygrad2.ops.functional import generator_state

if TYPE_CHECKING:
    from tinygrad2.nn.layer import Layer


def snapshot(net: Layer) -> Restore:
    """Look at the state of all layers; the result puts it back. Running does not change parameters: they stay out."""
    attributes = [(vars(layer), dict(vars(layer))) for _, layer in net.named_layers()]
    contents = [restore for _, seen in attributes for value in seen.values() for restore in _contents(value)]

    def restore() -> None:
        for own, seen in attributes:
            for name in own.keys() - seen.keys():
                del own[name]
            own.update(seen)
        for put_back in contents:
            put_back()

    return restore


def _contents(value: Any) -> Iterator[Restore]:
    """What puts back the contents of a value that can be changed in place."""
    if isinstance(value, Tensor) and not value.requires_grad:
        yield partial(setattr, value, "array", value.array)
    elif isinstance(value, np.random.Generator):
        yield generator_state(value)
    elif isinstance(value, np.ndarray) and value.flags.writeable:
        yield partial(value.__setitem__, ..., value.copy())
    elif isinstance(value, dict | set):
        yield partial(_refill, value, value.copy())
    elif isinstance(value, list):
        yield partial(value.__setitem__, slice(None), value.copy())
    if isinstance(value, list | tuple | dict):
        for inside in value.values() if isinstance(value, dict) else value:
            yield from _contents(inside)


def _refill(value: dict[Any, Any] | set[Any], contents: Any) -> None:
    value.clear()
    value.update(contents)
