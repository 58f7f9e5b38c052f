"""Every NumPy function that MyGrad covers is covered here: the names are read from MyGrad's own tables."""

from __future__ import annotations

import numpy as np
import pytest

mygrad = pytest.importorskip("mygrad", reason="oracle: MyGrad is not installed (pip install 'tinygrad2[oracle]')")

import mygrad.tensor_base as theirs  # noqa: E402
from test_numpy_table import OF_MYGRAD, of_name  # noqa: E402

from tinygrad2.ops.numpy_functions import CONSTANT, FUNCTIONS, IN_PLACE, PLAIN, UFUNCS  # noqa: E402

pytestmark = pytest.mark.oracle

DIFFERENTIABLE = {*theirs._REGISTERED_UFUNC, *theirs._REGISTERED_DIFFERENTIABLE_NUMPY_FUNCS}
WITHOUT_DERIVATIVE = {
    *theirs._REGISTERED_BOOL_ONLY_UFUNC,
    *theirs._REGISTERED_CONST_ONLY_UFUNC,
    *theirs._REGISTERED_NO_DIFF_NUMPY_FUNCS,
}
# Whether a date is missing: no Tensor holds dates.
LEFT_OUT = {np.isnat}


def test_every_function_that_mygrad_differentiates_is_an_operation() -> None:
    assert len(DIFFERENTIABLE) >= 74
    assert {*UFUNCS, *FUNCTIONS} >= DIFFERENTIABLE


def test_every_function_that_mygrad_has_without_a_derivative_is_known() -> None:
    assert len(WITHOUT_DERIVATIVE) >= 34
    assert {*UFUNCS, *FUNCTIONS, *CONSTANT, *PLAIN, *IN_PLACE} >= WITHOUT_DERIVATIVE - LEFT_OUT


def test_the_list_of_the_suite_is_mygrads() -> None:
    assert {of_name(name) for name in OF_MYGRAD.split()} >= (DIFFERENTIABLE | WITHOUT_DERIVATIVE) - LEFT_OUT
