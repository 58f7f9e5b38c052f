"""Wrong derivations by hand of functions that are not this project's: a test set whose author did not see the checker.

`form.py` says how an entry is written; `ALL` holds every entry. tests/test_elsewhere_truth.py shows that the right
rules are right and the wrong rules wrong.
"""

from . import (
    activations,
    algebra,
    attention,
    distances,
    doubles,
    jacobians,
    losses,
    normalisations,
    physics,
    pooling,
    probability,
    recurrences,
    tensors,
)

MODULES = (
    losses,
    normalisations,
    activations,
    attention,
    distances,
    pooling,
    recurrences,
    physics,
    algebra,
    probability,
    jacobians,
    doubles,
    tensors,
)
ALL = tuple(entry for module in MODULES for entry in module.FUNCTIONS)
