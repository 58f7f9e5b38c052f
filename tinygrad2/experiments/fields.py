"""What the annotation of a setting says: its type, its bounds or choices, and what it means.

As in: batch_size: Annotated[int, AtLeast(1), "images in a step"] = 100
"""

from __future__ import annotations

import dataclasses
import json
import math
import typing
from collections.abc import Collection
from dataclasses import dataclass
from types import UnionType
from typing import Any

from tinygrad2.experiments.brought import Catalogue
from tinygrad2.nn.layer import nearest

TYPES = {int: "an integer", float: "a number", str: "a string", bool: "true or false"}


@dataclass(frozen=True)
class AtLeast:
    """The smallest value that a setting, or each entry of a list, can have; it must be finite too."""

    value: float


@dataclass(frozen=True)
class AtMost:
    """The largest value that a setting, or each entry of a list, can have."""

    value: float


@dataclass(frozen=True)
class Below:
    """What a setting, or each entry of a list, must be smaller than."""

    value: float


@dataclass(frozen=True)
class OneOf:
    """The names that a setting, or each entry of a list, can have; `extra` is one more."""

    names: Collection[str]
    extra: str = ""


@dataclass(frozen=True)
class Field:
    """One setting.

    kind: int, float, str or bool; of each entry where many is true
    least, most, below: its bounds; every number must be finite
    names: what it can be; anything if empty
    """

    key: str
    kind: type[Any]
    many: bool
    default: Any
    meaning: str
    least: float | None
    most: float | None
    below: float | None
    names: Collection[str]
    extra: str

    @property
    def summary(self) -> str:
        """Its meaning, what it can be, and its default."""
        expected = " | ".join(self.choices) or TYPES[self.kind].removeprefix("an ").removeprefix("a ")
        bounds = {"≥": self.least, "≤": self.most, "<": self.below}
        expected += "".join(f" {sign} {bound:g}" for sign, bound in bounds.items() if bound is not None)
        if self.many:
            expected = f"list of: {expected}"
        default = "not set" if self.default is None else f"default {toml(self.default)}"
        return f"{self.meaning} [{expected}; {default}]"

    @property
    def choices(self) -> list[str]:
        """The names that it can have, and how others are written."""
        own = ["path/to/file.py:function"] if isinstance(self.names, Catalogue) else []
        return [*([self.extra] if self.extra else []), *self.names, *own]

    def checked(self, value: Any) -> Any:
        """The value, with a list as a tuple. Raises TypeError or ValueError that says what was expected."""
        if not self.many:
            return self._checked(value)
        if not isinstance(value, list | tuple):
            raise TypeError(f"{self.key}: expected a list, each entry {TYPES[self.kind]}, got {value!r}")
        return tuple(map(self._checked, value))

    def _checked(self, value: Any) -> Any:
        if self.kind is float and type(value) is int:
            value = float(value) if abs(value) < 1e300 else math.inf
        if type(value) is not self.kind:
            raise TypeError(f"{self.key}: expected {TYPES[self.kind]}, got {value!r}")
        if self.names and value != self.extra and value not in self.names:
            hint = nearest(value, self.names)
            raise ValueError(f"{self.key}: unknown value {value!r}{hint}; known: {', '.join(self.choices)}")
        if self.kind in (int, float) and not self._inside(value):
            raise ValueError(f"{self.key}: expected {TYPES[self.kind]}{self._bounds()}, got {value}")
        return value

    def _inside(self, value: float) -> bool:
        """Whether the number is finite and within the bounds."""
        low = self.least is None or value >= self.least
        high = (self.most is None or value <= self.most) and (self.below is None or value < self.below)
        return low and high and abs(value) < math.inf

    def _bounds(self) -> str:
        """The bounds in words."""
        words = {"of at least": self.least, "at most": self.most, "below": self.below}
        said = [f"{word} {bound}" for word, bound in words.items() if bound is not None]
        return f" {' and '.join(said)}" if said else " that is finite"


def fields_of(name: str, section: Any) -> list[Field]:
    """The settings of a section, a dataclass, with its values as defaults; their keys are "name.field"."""
    hints = typing.get_type_hints(type(section), include_extras=True)
    return [_field(f"{name}.{f.name}", hints[f.name], getattr(section, f.name)) for f in dataclasses.fields(section)]


def toml(value: Any) -> str:
    """A setting's value as TOML has it."""
    if isinstance(value, tuple):
        return f"[{', '.join(map(toml, value))}]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return str(value).lower() if isinstance(value, bool) else repr(value)


def _field(key: str, hint: Any, default: Any) -> Field:
    """hint: Annotated[T, ...], where T is a type, a tuple of one type, or one of these | None."""
    kind, *notes = typing.get_args(hint)
    if isinstance(kind, UnionType):
        kind = typing.get_args(kind)[0]
    many = typing.get_origin(kind) is tuple
    if many:
        kind = typing.get_args(kind)[0]
    meaning = next(note for note in notes if isinstance(note, str))
    least, most, below = (
        next((note.value for note in notes if isinstance(note, bound)), None) for bound in (AtLeast, AtMost, Below)
    )
    one_of = next((note for note in notes if isinstance(note, OneOf)), OneOf(()))
    return Field(key, kind, many, default, meaning, least, most, below, one_of.names, one_of.extra)
