"""The walk of one call: how many Python functions it enters, and how often the next one lies in another file.

A reader who follows a call through the code takes this walk. `python -m benchmarks.walk` prints a row for each call;
`--show jacobian` prints the walk itself. Counts do not depend on the machine's speed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

import tinygrad2 as tg
from tinygrad2 import nn

PACKAGE = Path(tg.__file__).parent


def calls() -> dict[str, Callable[[], Any]]:
    """The calls that are walked: conv-relu-pool-flatten-fc forward, backward from cross-entropy, and the Jacobian."""
    net = nn.Sequential(
        conv=nn.Conv2d(1, 4, 3, rng=0),
        relu=nn.ReLU(),
        pool=nn.MaxPool2d(2),
        flatten=nn.Flatten(),
        fc=nn.Linear(36, 10, rng=1),
    )
    x = np.random.default_rng(0).standard_normal((5, 1, 8, 8)).astype(np.float32)
    loss = tg.cross_entropy(net(x), np.array([3, 1, 4, 1, 5]))
    trace = net.trace(x)
    return {"net(x)": lambda: net(x), "backward()": loss.backward, "trace.jacobian()": trace.jacobian}


def walk(call: Callable[[], Any]) -> list[tuple[Path, str]]:
    """The package's functions that `call` enters, in order, each with its file. A generator counts each time."""
    entered: list[tuple[Path, str]] = []

    def note(frame: FrameType, event: str, argument: Any) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(str(PACKAGE)):
            entered.append((Path(frame.f_code.co_filename).relative_to(PACKAGE), frame.f_code.co_qualname))

    sys.setprofile(note)
    try:
        call()
    finally:
        sys.setprofile(None)
    return entered


def changes(entered: list[tuple[Path, str]]) -> int:
    """How often a function lies in another file than the one entered before it."""
    return sum(a != b for (a, _), (b, _) in pairwise(entered))


def main() -> None:
    """Print a row for each call, or the walk of one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--show", metavar="CALL", help="print the walk of the call whose name contains this")
    show = parser.parse_args().show
    for name, call in calls().items():
        call()  # once before: what is imported or compiled on first use is no part of the walk
        entered = walk(call)
        if show is None:
            print(f"{name:18} {len(entered):4} Python calls, {changes(entered):4} changes of file")
        elif show in name:
            print("\n".join(f"{file}  {function}" for file, function in entered))


if __name__ == "__main__":
    main()
