"""Each public name is stated once, in the `__all__` of the module that defines it; a package collects them by `*`."""

from types import ModuleType
from typing import Any


def public(namespace: dict[str, Any], *modules: str) -> list[str]:
    """The `__all__` of a package: what it has imported by a name without an underscore, and the modules named here.

    namespace: the package's `globals()`. A type checker need not see the result: it follows the imports.
    """
    collected = (n for n, value in namespace.items() if n[0] != "_" and not isinstance(value, ModuleType))
    return sorted([*modules, *collected])
