"""What a user brings by a name: a function in a file of their own, `path/to/file.py:function`, or of a package.

The file is Python code and runs with the user's rights, so use only files that you trust. A package joins with entry
points in the groups tinygrad2.models, .data, .penalties, .defenses and .attacks.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import re
import sys
import traceback
from collections.abc import Callable, Collection, Iterator, Mapping
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from tinygrad2.nn.layer import nearest

IN_A_FILE = re.compile(r"(?P<path>.+\.py):(?P<function>[^\W\d]\w*)")
FROM_PYTHON = "python:"  # before the name of what `fit` was given


class Catalogue(Collection[str]):
    """The names of one kind: our own, those of installed packages, and every `file.py:function`.

    kind: "models", "data", "penalties", "defenses" or "attacks"; known: our own, by name
    Iterating gives the names that can be listed; `in` also takes those that can only be read.
    """

    def __init__(self, kind: str, known: Mapping[str, Any], reads: Callable[[str], bool] = lambda name: False) -> None:
        self.kind = kind
        self.known = known
        self.reads = reads

    @functools.cached_property
    def installed(self) -> dict[str, EntryPoint]:
        """The entry points of installed packages, by name; our own names come first."""
        found = entry_points(group=f"tinygrad2.{self.kind}")
        return {entry.name: entry for entry in found if entry.name not in self.known}

    def __iter__(self) -> Iterator[str]:
        return iter((*self.known, *self.installed))

    def __len__(self) -> int:
        return len(self.known) + len(self.installed)

    def __contains__(self, name: object) -> bool:
        own = isinstance(name, str) and (is_brought(name) or self.reads(name))
        return own or name in self.known or name in self.installed

    def find(self, name: str) -> Any:
        """What the name stands for. Raises ValueError and FileNotFoundError."""
        if name in self.known:
            return self.known[name]
        if name in self.installed:
            return self.installed[name].load()
        if is_brought(name):
            return load(name)
        raise ValueError(
            f"unknown name {name!r} among the {self.kind}{nearest(name, self)}; known: {', '.join(self)}, "
            "or a function in a file of your own: path/to/file.py:function"
        )

    def digests(self, name: str) -> dict[str, str]:
        """The hash of the file that the name stands for, or the version of the package: {} for our own names."""
        if name in self.known:
            return {}
        if name in self.installed:
            package = self.installed[name].dist
            return {} if package is None else {package.name: package.version}
        found = IN_A_FILE.fullmatch(name)
        return {found["path"]: digest_of(found["path"])} if found else {}


def is_given(name: str) -> bool:
    """Whether the name stands for what was given to `fit`."""
    return name.startswith(FROM_PYTHON)


def is_brought(name: str) -> bool:
    """Whether the name stands for a function of the user's: in a file, or given to `fit`."""
    return is_given(name) or IN_A_FILE.fullmatch(name) is not None


def short(name: str) -> str:
    """The name without its file, for titles and folders.

    >>> short("work/mine.py:slope"), short("lenet")
    ('slope', 'lenet')
    """
    return name.rpartition(":")[2] if is_brought(name) else name


def load(name: str) -> Any:
    """The function (or class) in the file. Raises FileNotFoundError, and ValueError for what is wrong in the file."""
    if is_given(name):
        what = name.removeprefix(FROM_PYTHON)
        raise ValueError(f"{what!r} was given to tg.experiments.fit, and only it can go on: fit(..., resume=True)")
    found = IN_A_FILE.fullmatch(name)
    if found is None:
        raise ValueError(f"{name!r}: expected path/to/file.py:function")
    path = Path(found["path"])
    module = _module(path, _content(path))
    if not callable(function := getattr(module, found["function"], None)):
        own = [key for key, value in vars(module).items() if inspect.isroutine(value) or inspect.isclass(value)]
        raise ValueError(f"{path} has no function {found['function']!r}{nearest(found['function'], own)}")
    return function if inspect.isclass(function) else blamed(function, path)


def blamed(function: Callable[..., Any], path: Path) -> Callable[..., Any]:
    """The function, whose errors say in which line of the file they arose."""

    @functools.wraps(function)
    def called(*args: Any, **options: Any) -> Any:
        try:
            return function(*args, **options)
        except Exception as error:
            raise _located(error, path) from error

    return called


def called(name: str, function: Callable[..., Any], available: Mapping[str, Any]) -> Any:
    """The function with those of the available keyword arguments that it takes; an error names the function."""
    parameters = inspect.signature(function).parameters.values()
    every = any(p.kind is p.VAR_KEYWORD for p in parameters)
    taken = {p.name for p in parameters}
    if unknown := [p.name for p in parameters if p.default is p.empty and p.name not in available and p.kind < 2]:
        raise ValueError(f"{name}: it needs {unknown[0]!r}, but it is given: {', '.join(available)}")
    return function(**{key: value for key, value in available.items() if every or key in taken})


def digest(*contents: bytes) -> str:
    """The SHA-256 of the bytes."""
    return hashlib.sha256(b"".join(contents)).hexdigest()


def digest_of(path: str) -> str:
    """The SHA-256 of a file. Raises FileNotFoundError."""
    return digest(_content(Path(path)))


def _content(path: Path) -> bytes:
    if not path.is_file():
        raise FileNotFoundError(f"no such file: {path} (looked for in {Path.cwd()})")
    return path.read_bytes()


@functools.cache
def _module(path: Path, content: bytes) -> ModuleType:
    """The module that the file makes. It runs once: functions from it share its variables."""
    name = f"tinygrad2_brought_{path.stem}_{digest(content)[:8]}"
    module = ModuleType(name)
    module.__file__ = str(path)
    sys.modules[name] = module  # dataclasses and pickle look a class's module up there
    try:
        exec(compile(content, str(path), "exec"), vars(module))
    except (Exception, SystemExit) as error:
        raise _located(error, path) from error
    return module


def _located(error: BaseException, path: Path) -> ValueError:
    """The error as one line that names the file and the line in it."""
    line = getattr(error, "lineno", None) if isinstance(error, SyntaxError) else None
    for frame in traceback.extract_tb(error.__traceback__):
        if frame.filename == str(path):
            line = frame.lineno
    return ValueError(f"{path}{f', line {line}' if line else ''}: {type(error).__name__}: {error}")
