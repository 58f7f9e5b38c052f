"""The book of exercises: one file a chapter, and in it the forward function, the solution and the statement of each.

`exercise(name)` opens one, `exercises()` is a table of all.
"""

from __future__ import annotations

from difflib import get_close_matches

from tinygrad2.verify.book import (
    attention,
    convolution,
    double,
    double_losses,
    elementwise,
    jacobians,
    linear,
    normalization,
    penalties,
    pooling,
    softmax,
    statistics,
)
from tinygrad2.verify.book.base import Exercise, Worked
from tinygrad2.verify.book.catalogue import Catalogue

CHAPTERS = (
    elementwise,
    linear,
    convolution,
    pooling,
    softmax,
    statistics,
    normalization,
    attention,
    jacobians,
    double,
    double_losses,
    penalties,
)
BOOK: dict[str, Exercise] = {ex.name: ex for chapter in CHAPTERS for ex in chapter.EXERCISES}


def exercise(name: str) -> Exercise:
    """The exercise of this name. ValueError for an unknown name suggests the nearest.

    >>> from tinygrad2.verify import exercise
    >>> exercise("tanh")
    exercise 'tanh': y = tanh x. Derive dx from g.
      write rule(g, x) -> dx, then ex.check(rule)
    """
    if name not in BOOK:
        close = get_close_matches(name, BOOK, 3)
        hint = f"did you mean {' or '.join(map(repr, close))}?" if close else f"known: {', '.join(BOOK)}"
        raise ValueError(f"unknown exercise {name!r}; {hint}")
    return BOOK[name]


def exercises() -> Catalogue:
    """All exercises in the order of the book. It prints as a table; it is a list of their names.

    >>> from tinygrad2.verify import exercises
    >>> exercises()[:4]
    ['relu', 'leaky_relu', 'sigmoid', 'tanh']
    >>> print(exercises())  # doctest: +ELLIPSIS, +NORMALIZE_WHITESPACE
    name        difficulty  order  what
    relu        easy        1, 2   y = max(x, 0). Derive dx from g.
    ...
    """
    return Catalogue(BOOK.values())


__all__ = ["BOOK", "Catalogue", "Exercise", "Worked", "exercise", "exercises"]
