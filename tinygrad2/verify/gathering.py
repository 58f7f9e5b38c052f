"""Gathering the derivations of a file: while it is run, each check runs only in the process that is to run it.

Direct calls such as check_vjp(...) count as derivations as well as what `@derivation` declares.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from tinygrad2.verify.report import Report

gathering: ContextVar[Gathering | None] = ContextVar("gathering", default=None)


@dataclass
class Gathering:
    """The derivations met while a file is run: their names, and the report of the one that is wanted."""

    wanted: int | None = None
    seed: int | None = None
    order: int | None = None
    names: list[str] = field(default_factory=list)
    later: Any = None  # a Derivation, which stands on this file
    report: Report | None = None

    def meet(self, name: str) -> bool:
        """Note a derivation; True if it is the one to run."""
        self.names.append(name)
        return len(self.names) - 1 == self.wanted

    def options(self, options: dict[str, Any]) -> dict[str, Any]:
        """The options of a check, with those of the command line over them."""
        over = {"seed": self.seed, "order": self.order}
        return {**options, **{k: v for k, v in over.items() if v is not None}}


def declared(check: Callable[..., Report]) -> Callable[..., Report]:
    """A check that, while a file is gathered, runs only if it is the wanted one."""

    @functools.wraps(check)
    def run(subject: Any, rule: Any, *args: Any, **options: Any) -> Report:
        g = gathering.get()
        if g is None:
            return check(subject, rule, *args, **options)
        own = getattr(subject, "name", None) or options.get("name") or getattr(rule, "__name__", str(rule))
        if not g.meet(str(own)):
            return Report(str(own), True, notes=["not run in this process"])
        token = gathering.set(None)
        try:
            options = g.options(options)
            if check.__name__ not in ("check_vjp", "check"):
                options.pop("order", None)
            g.report = check(subject, rule, *args, **options)
        finally:
            gathering.reset(token)
        return g.report

    return run
