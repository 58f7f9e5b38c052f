"""Nested tuples, lists and dicts of tensors, flattened to a list and put together again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any


def flatten(tree: Any) -> tuple[list[Any], Callable[[Iterator[Any]], Any]]:
    """The leaves in order (dicts by insertion), and the function that builds the same structure from other leaves."""
    if isinstance(tree, tuple | list):
        parts = [flatten(branch) for branch in tree]
        make = type(tree)
        fields = hasattr(tree, "_fields")  # namedtuple

        def build(leaves: Iterator[Any]) -> Any:
            branches = [rebuild(leaves) for _, rebuild in parts]
            return make(*branches) if fields else make(branches)

        return [leaf for some, _ in parts for leaf in some], build
    if isinstance(tree, dict):
        values, rebuild = flatten(list(tree.values()))
        return values, lambda leaves: dict(zip(tree, rebuild(leaves), strict=True))
    return [tree], next
