"""CIFAR-10 from its archive: the real one, small ones, and damaged ones; whitening and augmentation."""

from __future__ import annotations

import importlib
import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from archives import DAMAGE, Members, packed, sha256
from hypothesis import given
from hypothesis import strategies as st
from strategies import SEEDS

from tinygrad2.data import AUGMENTATIONS, Dataset, augment, centre, digits, elastic, jitter, load, whiten
from tinygrad2.data.augmentation import sample
from tinygrad2.data.whitening import normalize_contrast, zca

module = importlib.import_module("tinygrad2.data.cifar10")
COUNTS = {"train": 3, "test": 2}


def jpeg(colour: tuple[int, int, int], side: int = 32, mode: str = "RGB") -> bytes:
    image, content = pytest.importorskip("PIL.Image").new("RGB", (side, side), colour).convert(mode), io.BytesIO()
    image.save(content, "JPEG", quality=95)
    return content.getvalue()


def colour(split: str, i: int, label: int) -> tuple[int, int, int]:
    return 20 * label, 50 * i, 200 if split == "train" else 100


def members() -> Members:
    return {
        f"{split}/{name}/{i:04}.jpg": jpeg(colour(split, i, label))
        for split, count in COUNTS.items()
        for label, name in enumerate(module.CLASSES)
        for i in range(count)
    }


@pytest.fixture
def small(monkeypatch: Any, tmp_path: Path) -> Callable[[bytes], Path]:
    """Put an archive where the loader looks for it, and its checksum and counts where the real ones stand."""

    def put(content: bytes) -> Path:
        path = tmp_path / module.FILE
        path.write_bytes(content)
        monkeypatch.setenv("TINYGRAD2_DATA", str(tmp_path))
        monkeypatch.setattr(module, "COUNTS", COUNTS)
        monkeypatch.setattr(module, "SHA256", sha256(path))
        return path

    return put


def test_the_classes_take_turns_and_every_image_has_its_label(small: Any) -> None:
    small(packed(members()))
    data = load("cifar10")
    assert data.box == (0.0, 255.0) and data.classes[3] == "cat"
    for split, x, y in (("train", data.x_train, data.y_train), ("test", data.x_test, data.y_test)):
        assert x.shape == (10 * COUNTS[split], 3, 32, 32) and x.dtype == np.float32
        assert y.tolist() == [*range(10)] * COUNTS[split]
        for k, image in enumerate(x):
            expected = np.array(colour(split, k // 10, k % 10))[:, None, None]
            assert np.abs(image - expected).max() <= 3  # what JPEG leaves of a plain colour


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_archive_is_named_with_what_was_expected_and_found(small: Any, kind: str) -> None:
    make, message = DAMAGE[kind]
    path = small(make(members(), "train/cat/0001.jpg"))
    with pytest.raises(ValueError, match=f"{path.name}: .*{message}.*delete the file and fetch it again"):
        load("cifar10")
    assert [p.name for p in path.parent.iterdir()] == [path.name]  # nothing was unpacked anywhere near


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"not an image", "expected a JPEG image in test/dog/0000.jpg, found cannot identify"),
        (lambda: jpeg((9, 9, 9))[:300], "expected a JPEG image in test/dog/0000.jpg, found .*[Tt]runcated"),
        (lambda: jpeg((9, 9, 9), side=16), r"expected 32 x 32 pixels in RGB in .*, found \(16, 16\) in RGB"),
        (lambda: jpeg((9, 9, 9), mode="L"), r"expected 32 x 32 pixels in RGB in .*, found \(32, 32\) in L"),
    ],
    ids=["text", "cut", "too small", "grey"],
)
def test_a_member_that_is_no_such_image_is_named(small: Any, content: Any, message: str) -> None:
    small(packed(members() | {"test/dog/0000.jpg": content if isinstance(content, bytes) else content()}))
    with pytest.raises(ValueError, match=message):
        load("cifar10")


def test_another_archive_than_the_known_one_is_refused(small: Any) -> None:
    path = small(packed(members()))
    path.write_bytes(packed(members() | {"train/cat/0001.jpg": jpeg((1, 2, 3))}))
    with pytest.raises(ValueError, match=r"expected SHA-256 .*, found .*; delete the file"):
        load("cifar10")


def test_without_the_file_the_error_says_what_is_missing(monkeypatch: Any, tmp_path: Path) -> None:
    monkeypatch.setenv("TINYGRAD2_DATA", str(tmp_path))
    with pytest.raises(
        FileNotFoundError, match=r"cifar10: there is no cifar10-jpeg.zip in .*TINYGRAD2_DATA names \(from"
    ):
        load("cifar10")
    monkeypatch.setenv("TINYGRAD2_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(FileNotFoundError, match=r"cifar10: TINYGRAD2_DATA is '.*nowhere', which is not a folder"):
        load("cifar10")
    monkeypatch.delenv("TINYGRAD2_DATA")
    with pytest.raises(FileNotFoundError, match="cifar10: TINYGRAD2_DATA is not set; set it to a folder that holds"):
        load("cifar10")


def test_without_pillow_the_error_says_what_to_install(monkeypatch: Any) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ModuleNotFoundError, match=r"which Pillow reads: pip install 'tinygrad2\[lab\]'"):
        load("cifar10")


@pytest.fixture(scope="module")
def real(data_file: Callable[[str], Path]) -> Dataset:
    data_file(module.FILE)
    pytest.importorskip("PIL.Image")
    return load("cifar10")


def test_the_real_subset_has_its_known_moments_and_every_class_alike(real: Dataset) -> None:
    assert real.x_train.shape == (25000, 3, 32, 32) and real.x_test.shape == (5000, 3, 32, 32)
    assert np.bincount(real.y_train).tolist() == [2500] * 10 and np.bincount(real.y_test).tolist() == [500] * 10
    assert np.bincount(real.subset(100, 50).y_train).tolist() == [10] * 10
    x = real.x_train / 255
    np.testing.assert_allclose(x.mean((0, 2, 3), dtype=np.float64), [0.4919, 0.4823, 0.4463], atol=5e-4)
    np.testing.assert_allclose(x.std((0, 2, 3), dtype=np.float64), [0.2458, 0.2435, 0.2611], atol=5e-4)


def test_no_two_real_images_are_equal(real: Dataset) -> None:
    seen = {image.astype(np.uint8).tobytes() for half in (real.x_train, real.x_test) for image in half}
    assert len(seen) == 30_000


# --- Whitening --------------------------------------------------------------------------------------------------------


@given(SEEDS)
def test_whitening_gives_every_direction_that_varies_the_same_size(seed: int) -> None:
    """The covariance after it has eigenvalues (s·σ/max(σ, 10))²: s² where σ ≥ 10, less where the images hardly vary."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((50, 6)) * [100, 50, 20, 12, 5, 1] @ np.linalg.qr(rng.standard_normal((6, 6)))[0]
    variances = np.linalg.eigvalsh(x.T @ x / 50)
    y = x @ zca(x)
    expected = variances.mean() * variances / np.maximum(np.sqrt(variances), 10) ** 2
    np.testing.assert_allclose(np.linalg.eigvalsh(y.T @ y / 50), np.sort(expected), rtol=1e-9)


@given(SEEDS)
def test_whitening_matrices_are_symmetric_and_turn_with_the_images(seed: int) -> None:
    """ZCA is the whitening that has no rotation of its own: zca(x Q) = Qᵀ zca(x) Q."""
    rng = np.random.default_rng(seed)
    x, q = 30 * rng.standard_normal((20, 5)), np.linalg.qr(rng.standard_normal((5, 5)))[0]
    np.testing.assert_allclose(zca(x), zca(x).T, atol=1e-12)
    np.testing.assert_allclose(zca(x @ q), q.T @ zca(x) @ q, atol=1e-9)


@given(SEEDS)
def test_contrast_is_equal_but_for_flat_images(seed: int) -> None:
    x = np.random.default_rng(seed).standard_normal((4, 500)) * [[100], [60], [20], [0]] + 7
    y = normalize_contrast(x, 50.0)
    np.testing.assert_allclose(y.mean(1), 0, atol=1e-12)
    np.testing.assert_allclose(y.std(1), [50, 50, 50 * x[2].std() / 40, 0], atol=1e-9)


def test_a_whitened_data_set_knows_the_training_images_only() -> None:
    raw = digits()
    changed = Dataset("digits", raw.x_train, raw.y_train, raw.x_test[::-1] * 0.5, raw.y_test, raw.classes, raw.box)
    a, b = whiten(raw), whiten(changed)
    np.testing.assert_array_equal(a.x_train, b.x_train)
    assert not np.array_equal(a.x_test, b.x_test)
    assert a.x_train.shape == raw.x_train.shape and a.x_train.dtype == np.float32 and a.box is None
    assert np.ptp(raw.x_train) == 255  # the raw images stay
    with pytest.raises(ValueError, match="already centred"):
        whiten(centre(raw))


# --- Augmentation -----------------------------------------------------------------------------------------------------

H, W = 28, 24
ROWS, COLUMNS = np.mgrid[0:H, 0:W].astype(float)
COORDINATES = np.stack([ROWS, COLUMNS])[None].repeat(40, 0)  # an image of where each pixel is
INSIDE = (slice(None), slice(None), slice(8, -8), slice(8, -8))


def noise(dtype: Any = np.float32) -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 255, (5, 3, H, W)).astype(dtype)


def test_sampling_at_the_pixels_changes_nothing_and_between_them_takes_means() -> None:
    x, (rows, columns) = noise(np.float64), (np.broadcast_to(a, (5, H, W)) for a in (ROWS, COLUMNS))
    np.testing.assert_array_equal(sample(x, rows, columns), x)
    np.testing.assert_array_equal(sample(x, rows + 2, columns - 1)[:, :, :-2, 1:], x[:, :, 2:, :-1])
    np.testing.assert_allclose(sample(x, rows + 0.5, columns)[:, :, :-1], (x[:, :, 1:] + x[:, :, :-1]) / 2)
    np.testing.assert_array_equal(sample(x, rows - 99, columns), x[:, :, :1].repeat(H, 2))


@given(SEEDS)
def test_jitter_turns_and_scales_about_the_middle(seed: int) -> None:
    """On an image of the coordinates it is a similarity: J = (cos, -sin; sin, cos)/(1 + zoom), mirrored or not."""
    y = jitter(COORDINATES, seed, degrees=20, zoom=0.1)[INSIDE]
    down, across = (np.diff(y, axis=a).mean((2, 3)) for a in (2, 3))  # ∂(row, column) by row and by column: (40, 2)
    np.testing.assert_allclose((down * across).sum(1), 0, atol=1e-9)
    scale = np.sqrt((down**2).sum(1))
    np.testing.assert_allclose(np.sqrt((across**2).sum(1)), scale)
    assert scale.min() >= 1 / 1.1 - 1e-9 and scale.max() <= 1 / 0.9 + 1e-9
    angle = np.degrees(np.arcsin(down[:, 1] / scale))
    assert np.abs(angle).max() <= 20 and np.abs(angle).max() > 10
    mirrored = down[:, 0] * across[:, 1] - down[:, 1] * across[:, 0] < 0
    assert 5 <= mirrored.sum() <= 35
    np.testing.assert_allclose(y.mean((2, 3)), [[(H - 1) / 2, (W - 1) / 2]] * 40, atol=1e-9)


def test_jitter_by_nothing_is_the_image_or_its_mirror_image() -> None:
    x = noise()
    np.testing.assert_array_equal(jitter(x, 0, degrees=0, zoom=0, mirror=False), x)
    y = jitter(np.concatenate([x] * 8), 0, degrees=0, zoom=0)
    same = [np.array_equal(a, b) for a, b in zip(y, np.concatenate([x] * 8), strict=True)]
    other = [np.array_equal(a, b[..., ::-1]) for a, b in zip(y, np.concatenate([x] * 8), strict=True)]
    assert all(np.logical_xor(same, other)) and any(same) and any(other)


def test_elastic_displacements_are_smooth_and_of_the_expected_length() -> None:
    """Smoothed uniform noise: a standard deviation of α/√3 · 1/(2σ√π), 1.38 pixels, correlated over σ."""
    moved = (elastic(COORDINATES, 1) - COORDINATES)[INSIDE]
    assert moved.std() == pytest.approx(34 / np.sqrt(3) / (2 * 4 * np.sqrt(np.pi)), rel=0.15)
    assert np.abs(np.diff(moved, axis=3)).mean() < 0.25 * np.abs(moved).mean() * 2
    np.testing.assert_array_equal(elastic(noise(), 1, alpha=0.0), noise())


@pytest.mark.parametrize("name", AUGMENTATIONS)
@given(seed=SEEDS, dtype=st.sampled_from([np.float32, np.float64]))
def test_augmented_images_keep_shape_dtype_and_range_and_follow_the_seed(name: str, seed: int, dtype: Any) -> None:
    x = noise(dtype)
    y, again = (AUGMENTATIONS[name](x, np.random.default_rng(seed)) for _ in range(2))
    assert (y.shape, y.dtype) == (x.shape, x.dtype) and y.tobytes() == again.tobytes()
    assert x.min() <= y.min() and y.max() <= x.max() and not np.array_equal(x, y)
    assert not np.array_equal(AUGMENTATIONS[name](x[[0, 0]], seed)[0], AUGMENTATIONS[name](x[[0, 0]], seed)[1])


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_augmenting_centred_images_is_centring_augmented_ones(name: str) -> None:
    raw = digits(upsample=12).subset(20, 5)
    data = centre(raw)
    bent = augment(data, name, data.x_train, [1, 2])
    np.testing.assert_allclose(bent, augment(raw, name, raw.x_train, [1, 2]) - data.mean, atol=1e-3)
    assert bent.dtype == np.float32 and augment(data, "none", data.x_train, 0) is data.x_train


def test_what_cannot_be_augmented_is_refused() -> None:
    for f in AUGMENTATIONS.values():
        with pytest.raises(ValueError, match=r"expected floating images \(N, C, H, W\), got shape \(2, 784\), float64"):
            f(np.zeros((2, 784)), 0)
    with pytest.raises(ValueError, match="expected a standard deviation above 0 pixels, got 0"):
        elastic(noise(), 0, sigma=0)
