"""Nested tuples, lists and dicts of tensors, flattened to a list and put together again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

Path = tuple[object, ...]  # the positions and keys that lead to a leaf, from the outside in


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


def leaves(tree: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """The leaves in the order of `flatten`, each with the path that leads to it."""
    if isinstance(tree, tuple | list | dict):
        for key, branch in tree.items() if isinstance(tree, dict) else enumerate(tree):
            yield from leaves(branch, (*path, key))
    else:
        yield path, tree


def written(path: Path, root: str = "") -> str:
    """The path as Python writes it: root[0]['weight']."""
    return root + "".join(f"[{key!r}]" for key in path)


def matched(tree: Any, like: Any, what: str, path: Path = ()) -> Iterator[tuple[str, Any, Any]]:
    """For every leaf of `like`: its path, the leaf of `tree` in the same place, and itself. Dicts match by their keys.

    what: how an error calls `tree`. Raises ValueError where the two have not the same structure.
    """
    place = written(path, what)
    if isinstance(like, dict):
        if not isinstance(tree, dict) or tree.keys() != like.keys():
            given = f"the keys {list(tree)}" if isinstance(tree, dict) else _kind(tree)
            raise ValueError(f"{place}: expected a dict with the keys {list(like)}, got {given}")
        for key in like:
            yield from matched(tree[key], like[key], what, (*path, key))
    elif isinstance(like, tuple | list):
        if not isinstance(tree, tuple | list) or len(tree) != len(like):
            given = f"{len(tree)}" if isinstance(tree, tuple | list) else _kind(tree)
            raise ValueError(f"{place}: expected a {type(like).__name__} of {len(like)}, got {given}")
        for i, branch in enumerate(like):
            yield from matched(tree[i], branch, what, (*path, i))
    elif isinstance(tree, tuple | list | dict) and hasattr(like, "shape"):
        raise ValueError(f"{place}: expected one tensor of shape {like.shape}, got {_kind(tree)}")
    else:
        yield place, tree, like


def _kind(tree: Any) -> str:
    shape = f" of shape {tree.shape}" if hasattr(tree, "shape") else ""
    return f"a {type(tree).__name__}{shape}"
