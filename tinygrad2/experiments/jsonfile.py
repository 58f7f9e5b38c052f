"""The one reader of the JSON that a run keeps: a damaged file is an error that names it and says what to do."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tinygrad2 import nn

Keys = Mapping[str, type | tuple[type, ...]]  # what an object must hold, and of which type
NUMBER = (int, float)
NAMES: dict[type, str] = {dict: "an object", list: "a list", str: "a string", int: "a number", float: "a number"}


def parse(text: str, where: str | Path, keys: Keys, advice: str) -> dict[str, Any]:
    """The object that the text holds, with these keys.

    where: what the message calls the text; advice: what to do about a damaged one. Raises ValueError.
    """
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{where} is damaged: it is not JSON ({error}); {advice}") from None
    return check(found, where, keys, advice)


def check(found: Any, where: str | Path, keys: Keys, advice: str) -> dict[str, Any]:
    """What was read, if it is an object with these keys. Raises ValueError otherwise."""
    if not isinstance(found, dict):
        raise ValueError(f"{where} is damaged: expected an object, found {json.dumps(found)[:40]}; {advice}")
    for key, kind in keys.items():
        wanted = kind if isinstance(kind, tuple) else (kind,)
        if not isinstance(found.get(key), wanted) or isinstance(found.get(key), bool):
            got = f"is {json.dumps(found[key])[:40]}" if key in found else "is missing"
            raise ValueError(f"{where} is damaged: {key!r} {got}, expected {NAMES[wanted[0]]}; {advice}")
    return found


def read(path: Path, keys: Keys, advice: str) -> dict[str, Any]:
    """The object in the file. Raises FileNotFoundError, and ValueError that names the file."""
    try:
        text = path.read_bytes().decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is damaged: it is not text ({error}); {advice}") from None
    return parse(text, path, keys, advice)


def write(path: Path, content: Any) -> None:
    """Write the file, whole or not at all."""
    with nn.atomic_write(path, "w") as file:
        file.write(json.dumps(content, indent=2, ensure_ascii=False) + "\n")
