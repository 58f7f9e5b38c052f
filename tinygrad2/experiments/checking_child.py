"""One process for one derivation: run the learner's file, check what is wanted, write the report as JSON, end.

`python -m tinygrad2.experiments.checking_child FILE OUT INDEX OPTIONS`; INDEX -1 only lists the derivations. The
process that started this one also keeps the time limit, so a crash or an endless loop ends this process alone.
"""

from __future__ import annotations

import json
import os
import runpy
import sys
from typing import Any

from tinygrad2.verify.declare import Derivation, derivations

MEMORY = 4 * 2**30  # bytes of address space, where the system can limit it
WRITTEN = 64 * 2**20  # bytes in any one file, printed text among them


def main(arguments: list[str]) -> None:
    """Run one file for one derivation."""
    path, out, index, options = arguments
    limit()
    write(out, check(path, int(index), json.loads(options)))


def check(path: str, index: int, options: dict[str, int]) -> dict[str, Any]:
    """The derivations in the file, and the report on number `index`; or the error that ended the file."""
    sys.path.insert(0, os.path.dirname(os.path.abspath(path)))
    found: list[Derivation] = []
    result: dict[str, Any] = {"report": None}
    try:
        found = derivations(runpy.run_path(path, run_name="checked_by_tinygrad2"))
        if 0 <= index < len(found):
            result = {"report": found[index].check(**options).as_dict()}
    except (Exception, SystemExit) as error:  # the file breaks, or the declaration is wrong: an unknown exercise, ...
        result = {"error": f"{type(error).__name__}: {error}{_line(error, path)}"}
    return {"found": [listed(d) for d in found], **result}


def listed(d: Derivation) -> dict[str, Any]:
    """What is known of a derivation before it is checked."""
    return {"name": d.label, "where": d.where, "of": d.of if isinstance(d.of, str) else d.name}


def write(out: str, content: dict[str, Any]) -> None:
    """The result, whole or not at all."""
    with open(out + ".part", "w", encoding="utf-8") as file:
        json.dump(content, file, default=str)
    os.replace(out + ".part", out)


def limit() -> None:
    """Bound memory and written bytes, so that a runaway rule ends itself."""
    if sys.platform == "win32":
        return
    import resource

    for kind, most in ((resource.RLIMIT_AS, MEMORY), (resource.RLIMIT_FSIZE, WRITTEN), (resource.RLIMIT_CORE, 0)):
        _, hard = resource.getrlimit(kind)
        top = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (top, hard))


def _line(error: BaseException, path: str) -> str:
    line = getattr(error, "lineno", None) if isinstance(error, SyntaxError) else None
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == path:
            line = trace.tb_lineno
        trace = trace.tb_next
    return f" (line {line})" if line else ""


if __name__ == "__main__":
    main(sys.argv[1:])
    sys.stdout.flush()
    os._exit(0)  # threads that the learner's file has left behind end with it
