"""The state of a net's random generators (dropout's), so that a resumed run draws the masks that it would have drawn.

`state_dict` holds arrays only; this holds what JSON can hold: dicts, lists, integers and strings.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tinygrad2.nn.layer import Layer, dotted, members

__all__ = ["rng_state", "set_rng_state"]


def generators(net: Layer) -> dict[str, np.random.Generator]:
    """The generators of all layers under dotted names such as "drop1.rng"."""
    return {
        dotted(owner, name): value
        for owner, layer in net.named_layers()
        for name, value in members(layer, np.random.Generator)
    }


def rng_state(net: Layer) -> dict[str, Any]:
    """The state of every generator under its dotted name; it can be written as JSON.

    >>> net = nn.Sequential(drop=nn.Dropout(rng=0))
    >>> list(nn.rng_state(net))
    ['drop.rng']
    """
    return {name: plain(rng.bit_generator.state) for name, rng in generators(net).items()}


def set_rng_state(net: Layer, state: Mapping[str, Any]) -> None:
    """Continue from what `rng_state` gave; nothing is changed unless every name and kind of generator fits.

    Raises ValueError with what does not fit.

    >>> drop = nn.Dropout(rng=0)
    >>> x = np.ones((1, 8))
    >>> state = nn.rng_state(drop)
    >>> first = drop(x).numpy()
    >>> nn.set_rng_state(drop, state)
    >>> np.array_equal(drop(x).numpy(), first)
    True
    """
    own = generators(net)
    if own.keys() != state.keys():
        raise ValueError(f"the generators do not fit: expected {sorted(own)}, the state has {sorted(state)}")
    for name, rng in own.items():
        expected = type(rng.bit_generator).__name__
        got = state[name]["bit_generator"]
        if expected != got:
            raise ValueError(f"{name}: expected the state of a {expected} generator, got that of a {got}")
    for name, rng in own.items():
        rng.bit_generator.state = state[name]


def plain(value: Any) -> Any:
    """Arrays, which some kinds of generator have in their state, as lists."""
    if isinstance(value, Mapping):
        return {name: plain(v) for name, v in value.items()}
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value
