"""Data sets: what they promise, that an epoch is a permutation, and that no damaged file gets through."""

from __future__ import annotations

import dataclasses
import itertools
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad2.data import LOADERS, Dataset, batches, centre, check_images, digits, load
from tinygrad2.data.digits import _interpolation


def small(**changes) -> Dataset:
    rng = np.random.default_rng(7)
    fields = dict(
        name="small",
        x_train=rng.uniform(0, 255, (6, 1, 3, 2)).astype(np.float32),
        y_train=np.array([0, 1, 2, 2, 1, 0]),
        x_test=rng.uniform(0, 255, (4, 1, 3, 2)).astype(np.float32),
        y_test=np.array([2, 0, 1, 1]),
        classes=("a", "b", "c"),
        box=(0.0, 255.0),
    )
    return Dataset(**{**fields, **changes})


# --- load -------------------------------------------------------------------------------------------------------------


def test_load_passes_the_options_of_the_data_set():
    assert load("digits", upsample=9).x_train.shape[1:] == (1, 9, 9)


@pytest.mark.parametrize(("name", "nearest"), [("mnits", "mnist"), ("MNIST", "mnist"), ("digit", "digits")])
def test_an_unknown_name_is_answered_with_the_nearest(name, nearest):
    with pytest.raises(ValueError, match=f"did you mean '{nearest}'.*known names: digits, mnist"):
        load(name)


def test_a_name_near_none_lists_them_all():
    with pytest.raises(ValueError, match="no data set 'imagenet'; known names: digits, mnist"):
        load("imagenet")


def test_an_unknown_option_and_a_name_that_is_no_string_are_type_errors():
    with pytest.raises(TypeError, match="no option 'upsampled'; its options: upsample, seed"):
        load("digits", upsampled=28)
    with pytest.raises(TypeError, match="no option 'upsample'; its options: none"):
        load("mnist", upsample=28)
    with pytest.raises(TypeError, match="got int"):
        load(5)


def test_importing_data_imports_no_optional_package():
    optional = {"sklearn", "pooch", "tqdm", "matplotlib", "PIL", "numba", "cupy"}
    code = f"import sys, tinygrad2.data; print(sorted({optional} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


# --- digits -----------------------------------------------------------------------------------------------------------


def test_digits_are_the_1797_scans_each_once():
    from sklearn.datasets import load_digits

    data, scans = digits(), load_digits()
    rows = np.concatenate([np.c_[x.reshape(len(x), 64) * 16 / 255, y] for x, y in _splits(data)])
    expected = np.c_[scans.data, scans.target]
    assert (len(data.x_train), len(data.x_test)) == (1437, 360)
    assert np.array_equal(np.sort(rows, axis=0), np.sort(expected, axis=0))
    assert sorted(map(tuple, rows)) == sorted(map(tuple, expected))


def test_digits_look_like_mnist():
    data = digits(upsample=28)
    assert data.x_train.shape == (1437, 1, 28, 28) and data.x_train.dtype == np.float32
    assert data.y_train.dtype == np.int64 and data.classes == tuple("0123456789")
    assert data.box == (0, 255) and data.x_train.min() == 0 and data.x_train.max() > 250 and data.mean is None


@given(seed=st.integers(0, 2**32))
def test_the_split_shares_out_every_class_in_proportion(seed):
    data = digits(seed=seed)
    test = np.bincount(data.y_test, minlength=10)
    total = test + np.bincount(data.y_train, minlength=10)
    assert np.all(abs(test - total * 360 / 1797) < 1)


def test_the_split_depends_on_the_seed_alone():
    assert np.array_equal(digits(seed=3).x_test, digits(seed=3).x_test)
    assert not np.array_equal(digits(seed=3).x_test, digits(seed=4).x_test)
    assert np.array_equal(digits(seed=3).y_test, digits(upsample=12, seed=3).y_test)


def test_any_long_stretch_of_either_half_has_every_class():
    for _, y in _splits(digits()):
        assert all(len(set(y[start : start + 90].tolist())) == 10 for start in range(0, len(y) - 90, 45))


@given(old=st.integers(2, 12), factor=st.integers(1, 5), extra=st.integers(0, 7))
def test_enlarging_averages_and_is_exact_on_straight_lines(old, factor, extra):
    new = old * factor + extra
    enlarge = _interpolation(old, new)
    assert np.all(enlarge >= 0) and np.allclose(enlarge.sum(axis=1), 1, rtol=0, atol=1e-14)
    centres = (np.arange(new) + 0.5) * old / new - 0.5
    assert np.allclose(enlarge @ np.arange(old), np.clip(centres, 0, old - 1), rtol=0, atol=1e-12)


def test_enlarging_to_the_same_size_changes_nothing():
    assert np.array_equal(digits(upsample=8).x_train, digits().x_train)


@pytest.mark.parametrize("side", [7, 0, -28])
def test_digits_are_not_made_smaller(side):
    with pytest.raises(ValueError, match=f"at least 8, got {side}"):
        digits(upsample=side)


def test_without_scikit_learn_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'tinygrad2\[lab\]'"):
        digits()


def _splits(data):
    return (data.x_train, data.y_train), (data.x_test, data.y_test)


# --- Dataset and centring ---------------------------------------------------------------------------------------------


def test_a_dataset_is_frozen_and_prints_no_arrays():
    data = small()
    with pytest.raises(dataclasses.FrozenInstanceError):
        data.name = "other"
    assert repr(data) == "Dataset('small': 6 training and 4 test images (1, 3, 2), 3 classes, pixels in (0.0, 255.0))"


def test_centred_training_images_have_mean_zero_and_the_test_images_the_same_shift():
    raw = small()
    data = centre(raw)
    assert np.allclose(data.x_train.mean(axis=0), 0, atol=1e-4)
    assert np.allclose(raw.x_test - data.x_test, raw.x_train.mean(axis=0), atol=1e-4)
    assert data.mean.shape == (1, 3, 2) and data.box is None
    assert data.x_train.dtype == data.x_test.dtype == data.mean.dtype == np.float32


def test_pixels_undoes_centring():
    raw, data = small(), centre(small())
    assert np.allclose(data.pixels(data.x_test), raw.x_test, rtol=0, atol=1e-4)
    assert np.allclose(data.pixels(data.x_test[0]), raw.x_test[0], rtol=0, atol=1e-4)
    assert raw.pixels(raw.x_test) is raw.x_test


def test_centring_leaves_the_raw_images_alone_and_happens_once():
    raw = small()
    before = raw.x_train.copy()
    data = centre(raw)
    assert np.array_equal(raw.x_train, before)
    with pytest.raises(ValueError, match="already centred"):
        centre(data)


def test_the_mean_of_many_images_is_summed_in_float64():
    x = np.full((70_000, 1), 254.7, dtype=np.float32)
    data = small(x_train=x, x_test=x[:4], y_train=np.zeros(70_000, dtype=np.int64))
    assert centre(data).mean == np.float32(254.7)


def test_a_subset_is_the_first_images_with_their_labels():
    data = small()
    part = data.subset(n_train=4, n_test=1)
    assert np.array_equal(part.x_train, data.x_train[:4]) and np.array_equal(part.y_train, data.y_train[:4])
    assert np.array_equal(part.x_test, data.x_test[:1]) and np.array_equal(part.y_test, data.y_test[:1])
    assert len(data.subset().x_train) == 6 and len(data.subset(n_test=2).x_train) == 6


@pytest.mark.parametrize("sizes", [{"n_train": 7}, {"n_train": 0}, {"n_test": 5}, {"n_test": -1}])
def test_a_subset_of_a_size_that_is_not_there_is_an_error(sizes):
    (what, n), have = *sizes.items(), 6 if "n_train" in sizes else 4
    with pytest.raises(ValueError, match=f"small: subset: {what}: expected 1 to {have}, got {n}"):
        small().subset(**sizes)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"x_train": np.zeros((6, 1, 3, 2))}, TypeError, "x_train: expected a float32 array, got float64"),
        ({"x_test": [[1.0]]}, TypeError, "x_test: expected a float32 array, got list"),
        ({"y_test": np.zeros(4, dtype=np.int32)}, TypeError, "y_test: expected a int64 array, got int32"),
        ({"y_train": np.zeros(5, dtype=np.int64)}, ValueError, r"expected shape \(6,\), one for each image, got \(5,"),
        ({"y_train": np.array([0, 1, 3, 2, 1, 0])}, ValueError, "expected 0 to 2, got 3 for image 2"),
        ({"x_test": np.zeros((4, 1, 2, 3), np.float32)}, ValueError, r"images of one shape, got \(1, 3, 2\) for"),
        ({"x_test": np.full((4, 1, 3, 2), 256, np.float32)}, ValueError, r"pixels in \[0, 255\], got 256 in image 0"),
        ({"mean": np.zeros((3, 2), np.float32)}, ValueError, r"mean: expected one image's shape \(1, 3, 2\), got"),
    ],
)
def test_arrays_that_do_not_belong_together_make_no_dataset(changes, error, message):
    with pytest.raises(error, match=message):
        small(**changes)


# --- check_images -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (3, 2, 4, 5), (2, 9)])
def test_good_images_pass(shape, dtype):
    check_images(np.ones(shape, dtype), labels=np.zeros(shape[0], np.uint8), num_classes=1, box=(1, 1))


@given(st.sampled_from([np.nan, np.inf, -np.inf]), st.lists(st.integers(0, 23), min_size=1, unique=True))
def test_the_first_image_that_is_not_finite_is_named(value, places):
    x = np.zeros((4, 1, 3, 2), np.float32)
    x.reshape(-1)[places] = value
    image, channel, row, column = np.unravel_index(min(places), x.shape)
    count = len({place // 6 for place in places})
    message = (
        rf"batch: expected finite pixels, got {value} in image {image} at \({channel}, {row}, {column}\) \({count} "
    )
    with pytest.raises(ValueError, match=message):
        check_images(x, name="batch")


@pytest.mark.parametrize(
    ("x", "options", "error", "message"),
    [
        (np.zeros((0, 1, 2, 2)), {}, ValueError, r"at least one image and one pixel, got the empty shape \(0, 1, 2, 2"),
        (np.zeros((2, 0)), {}, ValueError, r"empty shape \(2, 0\)"),
        (np.zeros((2, 3, 3)), {}, ValueError, r"expected shape \(N, C, H, W\) or \(N, D\), got \(2, 3, 3\)"),
        (np.zeros((2, 3), np.uint8), {}, TypeError, r"got uint8; convert with .astype\(np.float32\)"),
        (
            np.array([[0, 1], [2, -1.0]]),
            {"box": (0, 1)},
            ValueError,
            r"\[0, 1\], got 2 in image 1 at \(0,\) \(1 such of",
        ),
        (np.zeros((2, 3)), {"labels": np.array([0, -1])}, ValueError, "expected 0 or more, got -1 for image 1"),
        (np.zeros((2, 3)), {"labels": np.array([0, 10]), "num_classes": 10}, ValueError, "0 to 9, got 10 for image 1"),
        (np.zeros((2, 3)), {"labels": np.zeros((2, 1), int)}, ValueError, r"expected shape \(2,\).*got \(2, 1\)"),
        (np.zeros((2, 3)), {"labels": np.zeros(2)}, TypeError, "labels: expected integers, got float64"),
        (np.zeros((2, 3)), {"labels": np.zeros(2, bool)}, TypeError, "labels: expected integers, got bool"),
    ],
)
def test_bad_images_and_labels_are_named(x, options, error, message):
    with pytest.raises(error, match=message):
        check_images(x, **options)


# --- batches ----------------------------------------------------------------------------------------------------------

sizes = st.integers(1, 200)
seeds = st.integers(0, 2**63)


@given(n=sizes, batch_size=sizes, seed=seeds, epoch=st.integers(0, 1000), shuffle=st.booleans())
def test_an_epoch_visits_every_image_once(n, batch_size, seed, epoch, shuffle):
    parts = list(batches(n, batch_size, seed, epoch, shuffle))
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(n))
    assert all(len(part) == batch_size for part in parts[:-1]) and 1 <= len(parts[-1]) <= batch_size


@given(n=sizes, batch_size=sizes, seed=seeds, epoch=st.integers(0, 1000), done=st.integers(0, 10))
def test_resuming_in_mid_epoch_continues_exactly(n, batch_size, seed, epoch, done):
    whole = list(batches(n, batch_size, seed, epoch))
    np.random.default_rng().random()  # other random numbers drawn meanwhile are no matter
    rest = list(itertools.islice(batches(n, batch_size, seed, epoch), done, None))
    assert len(rest) == max(0, len(whole) - done)
    assert all(np.array_equal(a, b) for a, b in zip(whole[done:], rest, strict=True))


def test_epochs_and_seeds_differ_and_are_not_each_others_shift():
    orders = [tuple(next(batches(50, 50, seed, epoch))) for seed in range(4) for epoch in range(4)]
    assert len(set(orders)) == 16


def test_without_shuffling_the_order_is_the_files():
    assert [part.tolist() for part in batches(5, 2, seed=0, epoch=0, shuffle=False)] == [[0, 1], [2, 3], [4]]


@given(n=sizes, batch_size=sizes)
def test_drop_last_keeps_the_full_batches_only(n, batch_size):
    if batch_size > n:
        with pytest.raises(ValueError, match=f"batch_size {batch_size} leaves no batch of {n} images"):
            batches(n, batch_size, 0, 0, drop_last=True)
    else:
        parts = list(batches(n, batch_size, 0, 0, drop_last=True))
        assert [len(part) for part in parts] == [batch_size] * (n // batch_size)
        assert all(np.array_equal(a, b) for a, b in zip(parts, batches(n, batch_size, 0, 0), strict=False))


@pytest.mark.parametrize(("name", "value"), [("n", 0), ("batch_size", 0), ("seed", -1), ("epoch", -1)])
def test_batches_complains_when_called_not_when_iterated(name, value):
    arguments = {"n": 10, "batch_size": 2, "seed": 0, "epoch": 0}
    with pytest.raises(ValueError, match=f"batches: {name}: .*got {value}"):
        batches(**{**arguments, name: value})
    with pytest.raises(TypeError):
        batches(**{**arguments, name: 2.5})


def test_every_loader_is_public():
    import tinygrad2.data as data

    assert all(getattr(data, name) is loader for name, loader in LOADERS.items())
