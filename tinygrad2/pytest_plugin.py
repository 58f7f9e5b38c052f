"""pytest collects every @tinygrad2.derivation of a file that it is given, as a test: the failure is the report."""

from __future__ import annotations

import sys
from os import PathLike
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:  # pytest loads this plugin everywhere: it must not import tinygrad2 where nothing is derived
    from tinygrad2.verify import Derivation


class DerivationItem(pytest.Item):
    """One derivation as a test."""

    def __init__(self, *, derivation: Derivation, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.derivation = derivation

    def runtest(self) -> None:
        """Check, and raise the report unless the rule is right."""
        self.derivation.check().raise_for_error()

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """The report alone, which is titled by the rule, its file and its line; other errors as pytest shows them."""
        from tinygrad2.verify import Uncertified, WrongDerivation

        if isinstance(excinfo.value, WrongDerivation | Uncertified):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[PathLike[str], int, str]:
        """Where the derivation stands."""
        return self.path, (self.derivation.line or 1) - 1, f"derivation {self.derivation.label}"


def pytest_pycollect_makeitem(collector: pytest.Module | pytest.Class, name: str, obj: object) -> DerivationItem | None:
    """A derivation at the top of a module is a test, whatever its name; `tinygrad2 check` collects the same."""
    declare = sys.modules.get("tinygrad2.verify.declare")  # a file that declares derivations has imported it
    if declare is not None:
        for derivation in declare.derivations({name: obj}):
            return DerivationItem.from_parent(collector, name=name, derivation=derivation)
    return None
