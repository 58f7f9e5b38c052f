"""A geometry holds sizes that belong together, and says which numbers do not."""

from __future__ import annotations

import dataclasses
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import geometries

from tinygrad2.kernels import Geometry
from tinygrad2.kernels.geometry import check_conv, check_pool


@given(geometries())
def test_the_output_is_the_number_of_windows_that_fit(geo: Geometry) -> None:
    for axis in (0, 1):
        windows = [
            start
            for start in range(0, geo.padded[axis], geo.stride[axis])
            if start + geo.span[axis] <= geo.padded[axis]
        ]
        assert geo.output[axis] == len(windows)


@given(st.integers(1, 12), st.integers(1, 5), st.integers(1, 4), st.integers(1, 3))
def test_same_padding_gives_ceil_of_size_over_stride_and_puts_the_odd_pixel_last(
    h: int, k: int, s: int, d: int
) -> None:
    geo = Geometry.of(h, k, s, "same", d)
    assert geo.output == (-(-h // s),) * 2
    for before, after in geo.padding:
        assert after - before in (0, 1)
        if before + after:  # not one pixel more than needed
            assert (geo.output[0] - 1) * s + geo.span[0] == h + before + after


@given(geometries())
def test_valid_means_no_padding(geo: Geometry) -> None:
    if geo.span[0] <= geo.input[0] and geo.span[1] <= geo.input[1]:
        valid = Geometry.of(geo.input, geo.kernel, geo.stride, "valid", geo.dilation)
        assert valid == Geometry.of(geo.input, geo.kernel, geo.stride, 0, geo.dilation)
        assert valid.padding == ((0, 0), (0, 0))


@given(geometries(pooling=True))
def test_ceil_mode_covers_every_pixel_or_stops_before_a_window_without_input(geo: Geometry) -> None:
    up = Geometry.of(geo.input, geo.kernel, geo.stride, geo.padding, geo.dilation, ceil=True)
    for axis in (0, 1):
        stride, (before, _), size = geo.stride[axis], geo.padding[axis], geo.input[axis]
        assert up.output[axis] - geo.output[axis] in (0, 1)
        covered = (up.output[axis] - 1) * stride + up.span[axis] >= size + sum(geo.padding[axis])
        assert covered or up.output[axis] * stride >= before + size
        assert (up.output[axis] - 1) * stride < before + size or up.output[axis] == geo.output[axis]


def test_one_number_means_both_axes_and_a_pair_means_rows_and_columns() -> None:
    assert Geometry.of(28, 5, 2, 1, 1) == Geometry.of((28, 28), (5, 5), (2, 2), ((1, 1), (1, 1)), (1, 1))
    assert Geometry.of(28, 5, padding=(1, 2)).padding == ((1, 1), (2, 2))
    assert Geometry.of((28, 20), (5, 3)).output == (24, 18)


def test_a_geometry_is_a_constant() -> None:
    geo = Geometry.of(8, 3)
    assert hash(geo) == hash(Geometry.of(8, 3))
    with pytest.raises(dataclasses.FrozenInstanceError):
        geo.kernel = (1, 1)  # type: ignore[misc]


def test_it_prints_what_is_unusual_about_it() -> None:
    assert str(Geometry.of(28, 5)) == "28x28 -> 24x24, kernel 5x5"
    text = str(Geometry.of((9, 8), 3, 2, (1, 0), 2, 4))
    assert text == "9x8 -> 4x2, kernel 3x3, stride 2x2, padding ((1, 1), (0, 0)), dilation 2x2, groups 4"


WRONG = [
    (
        dict(input=4, kernel=5),
        "kernel (5, 5) with dilation (1, 1) spans 5 pixels, more than the padded input's height of 4",
    ),
    (dict(input=(9, 6), kernel=3, dilation=3), "spans 7 pixels, more than the padded input's width of 6"),
    (dict(input=8, kernel=3, stride=0), "stride must be at least 1, got (0, 0)"),
    (dict(input=8, kernel=3, dilation=(1, 0)), "dilation must be at least 1, got (1, 0)"),
    (dict(input=8, kernel=0), "kernel must be at least 1, got (0, 0)"),
    (dict(input=(0, 8), kernel=1), "input must be at least 1, got (0, 8)"),
    (dict(input=8, kernel=3, padding=-1), "padding must not be negative, got ((-1, -1), (-1, -1))"),
    (dict(input=8, kernel=3, groups=0), "groups must be at least 1, got 0"),
    (dict(input=8, kernel=3, padding="full"), "padding 'full' is unknown: expected 'same', 'valid'"),
    (dict(input=8, kernel=(3, 3, 3)), "kernel must be an integer or a pair of integers (rows, columns), got (3, 3, 3)"),
    (dict(input=8, kernel=2.5), "kernel must be an integer or a pair of integers (rows, columns), got 2.5"),
    (dict(input=8, kernel="35"), "kernel must be an integer or a pair of integers (rows, columns), got '35'"),
    (dict(input=8, kernel=3, padding=((1, 1),)), "padding must be ((top, bottom), (left, right)), got ((1, 1),)"),
]


@pytest.mark.parametrize(("sizes", "message"), WRONG, ids=[message[:30] for _, message in WRONG])
def test_impossible_sizes_are_named(sizes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        Geometry.of(**sizes)


def test_no_record_can_claim_an_output_that_does_not_follow() -> None:
    with pytest.raises(
        ValueError, match=re.escape("output (7, 6) does not follow from the other sizes: expected (6, 6)")
    ):
        dataclasses.replace(Geometry.of(8, 3), output=(7, 6))


GEO = Geometry.of(8, 3, groups=2)
MISFITS = [
    (dict(x=(4, 7, 8), w=(6, 2, 3, 3)), "x has shape (4, 7, 8), but its last two axes must be (8, 8)"),
    (dict(x=(4, 8, 8), w=(6, 2, 3, 2)), "w has shape (6, 2, 3, 2), but its last two axes must be (3, 3)"),
    (dict(x=(4, 8, 8), g=(6, 8, 8)), "g has shape (6, 8, 8), but its last two axes must be (6, 6)"),
    (dict(x=(8, 8), w=(6, 2, 3, 3)), "x must have the axes (..., C, H, W), got shape (8, 8)"),
    (dict(x=(4, 8, 8), w=(2, 3, 3)), "w must have the axes (O, C/groups, kh, kw), got shape (2, 3, 3)"),
    (dict(x=(5, 8, 8), g=(6, 6, 6)), "5 input channels cannot be divided into 2 groups"),
    (dict(x=(4, 8, 8), w=(5, 2, 3, 3)), "5 output channels cannot be divided into 2 groups"),
    (
        dict(x=(4, 8, 8), w=(6, 4, 3, 3)),
        "x of shape (4, 8, 8) has 4 channels, but w of shape (6, 4, 3, 3) with groups=2 expects",
    ),
    (dict(w=(6, 2, 3, 3), g=(4, 6, 6)), "g of shape (4, 6, 6) has 4 channels, but w of shape (6, 2, 3, 3) makes 6"),
    (dict(x=(3, 4, 8, 8), g=(2, 6, 6, 6)), "must share their leading axes"),
]


@pytest.mark.parametrize(("shapes", "message"), MISFITS, ids=[message[:30] for _, message in MISFITS])
def test_shapes_that_do_not_fit_are_named(shapes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        check_conv(GEO, **shapes)


def test_pooling_geometries_have_one_group_and_three_axes() -> None:
    with pytest.raises(ValueError, match="groups=1, got 2"):
        check_pool(GEO, GEO.input, (4, 8, 8), "x")
    with pytest.raises(ValueError, match=re.escape("x has shape (8, 8), expected (..., C, 8, 8)")):
        check_pool(Geometry.of(8, 2), (8, 8), (8, 8), "x")
