"""Spoken digits from their archive, the real one, small ones and damaged ones; and their cepstral coefficients."""

from __future__ import annotations

import importlib
import io
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from archives import DAMAGE, Members, packed, sha256
from hypothesis import given
from hypothesis import strategies as st
from strategies import SEEDS

from tinygrad2.data import Dataset, load, mfcc

module = importlib.import_module("tinygrad2.data.speech")
SPEAKERS, TAKES, TEST_TAKES = ("ann", "bob"), 3, 1


def wav(samples: np.ndarray, rate: int = 8000, channels: int = 1, width: int = 2) -> bytes:
    content = io.BytesIO()
    with wave.open(content, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(samples.astype(f"<i{width}").tobytes())
    return content.getvalue()


def tone(digit: int, speaker: int, take: int) -> np.ndarray:
    """A different one for each recording, from 0.15 to 1.4 seconds long."""
    t = np.arange(1200 + 1000 * digit + 100 * speaker) / 8000
    return 8000 * np.sin(2 * np.pi * (300 + 200 * digit + 50 * speaker + 10 * take) * t)


def members() -> Members:
    names = {
        f"recordings/{d}_{name}_{i}.wav": wav(tone(d, s, i))
        for d in range(10)
        for s, name in enumerate(SPEAKERS)
        for i in range(TAKES)
    }
    return {"LICENSE.txt": b"free", **names}


@pytest.fixture
def small(monkeypatch: Any, tmp_path: Path) -> Callable[[bytes], Path]:
    """Put an archive where the loader looks for it, and its checksum and counts where the real ones stand."""

    def put(content: bytes) -> Path:
        path = tmp_path / module.FILE
        path.write_bytes(content)
        monkeypatch.setenv("TINYGRAD2_DATA", str(tmp_path))
        for name, value in dict(SPEAKERS=SPEAKERS, TAKES=TAKES, TEST_TAKES=TEST_TAKES, SHA256=sha256(path)).items():
            monkeypatch.setattr(module, name, value)
        return path

    return put


def test_the_first_takes_are_the_test_set_and_every_recording_has_its_digit(small: Any) -> None:
    small(packed(members()))
    data = load("speech")
    assert data.x_train.shape == (40, 1, 98, 40) and data.x_test.shape == (20, 1, 98, 40) and data.box is None
    assert data.x_train.dtype == np.float32
    x, y = np.concatenate([data.x_test, data.x_train]), np.concatenate([data.y_test, data.y_train])
    order = [(d, s, i) for i in range(TAKES) for s in range(2) for d in range(10)]
    for (d, s, i), features, label in zip(order, x, y, strict=True):
        one_second = np.zeros(8000)
        heard = tone(d, s, i)[:8000].astype("<i2") / 32768
        one_second[: len(heard)] = heard
        assert label == d
        np.testing.assert_allclose(features[0], mfcc(one_second[None])[0], rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_archive_is_named_with_what_was_expected_and_found(small: Any, kind: str) -> None:
    make, message = DAMAGE[kind]
    path = small(make(members(), "recordings/3_bob_1.wav"))
    with pytest.raises(ValueError, match=f"{path.name}: .*{message}.*delete the file and fetch it again"):
        load("speech")
    assert [p.name for p in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"not a recording at all", "expected a WAVE recording in .*, found file does not start with RIFF id"),
        (wav(np.zeros(400))[:30], "expected a WAVE recording in .*, found"),
        (b"", "expected a WAVE recording in .*, found its end"),
        (wav(np.zeros(400), rate=16000), "expected 1 channel of 2 bytes at 8000 Hz in .*, found 1 of 2 at 16000"),
        (wav(np.zeros(400), channels=2), "expected 1 channel of 2 bytes at 8000 Hz in .*, found 2 of 2 at 8000"),
        (wav(np.zeros(400), width=4), "expected 1 channel of 2 bytes at 8000 Hz in .*, found 1 of 4 at 8000"),
    ],
    ids=["text", "cut in its header", "empty", "16 kHz", "stereo", "four bytes"],
)
def test_a_member_that_is_no_such_recording_is_named(small: Any, content: bytes, message: str) -> None:
    small(packed(members() | {"recordings/3_bob_1.wav": content}))
    with pytest.raises(ValueError, match=f"{module.FILE}: {message}"):
        load("speech")


def test_without_the_file_the_error_says_what_is_missing(monkeypatch: Any, tmp_path: Path) -> None:
    monkeypatch.setenv("TINYGRAD2_DATA", str(tmp_path))
    with pytest.raises(
        FileNotFoundError, match=r"speech: there is no fsdd.zip in .* TINYGRAD2_DATA names \(from github"
    ):
        load("speech")


@pytest.fixture(scope="module")
def real(data_file: Callable[[str], Path]) -> Dataset:
    data_file(module.FILE)
    return load("speech")


def test_the_real_recordings_are_split_officially(real: Dataset) -> None:
    assert real.x_train.shape == (2700, 1, 98, 40) and real.x_test.shape == (300, 1, 98, 40)
    assert np.bincount(real.y_train).tolist() == [270] * 10 and np.bincount(real.y_test).tolist() == [30] * 10
    assert real.subset(60, 60).y_train.tolist() == [*range(10)] * 6


def test_nearest_neighbours_already_tell_most_real_digits_apart(real: Dataset) -> None:
    """The features carry the digit: a tenth would be chance."""
    x, z = (a.reshape(len(a), -1) for a in (real.x_train, real.x_test))
    nearest = ((x * x).sum(1) - 2 * z @ x.T).argmin(1)
    assert (real.y_train[nearest] == real.y_test).mean() > 0.8


# --- Cepstral coefficients --------------------------------------------------------------------------------------------


def by_the_book(samples: np.ndarray) -> np.ndarray:
    """The coefficients of one recording, frame by frame, filter by filter, term by term."""
    mel = lambda f: 2595 * np.log10(1 + f / 700)
    hertz = lambda m: 700 * (10 ** (m / 2595) - 1)
    edges = [hertz(mel(20) + i * (mel(4000) - mel(20)) / 41) for i in range(42)]
    frames = []
    for start in range(0, len(samples) - 239, 80):
        window = [0.5 - 0.5 * np.cos(2 * np.pi * n / 239) for n in range(240)]
        power = np.abs(np.fft.fft(np.append(samples[start : start + 240] * window, np.zeros(272)))) ** 2
        logs = []
        for low, centre, high in zip(edges, edges[1:], edges[2:], strict=False):
            energy = 0.0
            for k in range(257):
                f = k * 8000 / 512
                if low < f <= centre:
                    energy += power[k] * (f - low) / (centre - low)
                elif centre < f < high:
                    energy += power[k] * (high - f) / (high - centre)
            logs.append(np.log(energy + 1e-6))
        frames.append(
            [
                np.sqrt((1 if i == 0 else 2) / 40)
                * sum(e * np.cos(np.pi * i * (j + 0.5) / 40) for j, e in enumerate(logs))
                for i in range(40)
            ]
        )
    return np.array(frames)


def test_the_coefficients_are_the_formulas() -> None:
    samples = np.random.default_rng(0).uniform(-1, 1, (2, 400))
    np.testing.assert_allclose(mfcc(samples), [by_the_book(s) for s in samples], atol=1e-9)


@given(seed=SEEDS, length=st.integers(240, 1000))
def test_there_is_one_frame_every_ten_milliseconds_that_fits_whole(seed: int, length: int) -> None:
    samples = np.random.default_rng(seed).uniform(-1, 1, (3, length))
    frames = mfcc(samples)
    assert frames.shape == (3, (length - 240) // 80 + 1, 40)
    last = 80 * (frames.shape[1] - 1)
    np.testing.assert_allclose(mfcc(samples[:, last : last + 240]), frames[:, -1:], atol=1e-9)


def test_silence_is_a_constant_in_the_first_coefficient_alone() -> None:
    quiet = mfcc(np.zeros((1, 8000)))
    np.testing.assert_allclose(quiet[..., 0], np.sqrt(40) * np.log(1e-6))
    np.testing.assert_allclose(quiet[..., 1:], 0, atol=1e-12)


@given(SEEDS, st.floats(0.1, 10))
def test_loudness_moves_the_first_coefficient_alone(seed: int, factor: float) -> None:
    samples = np.random.default_rng(seed).uniform(-1, 1, (1, 800))
    moved = mfcc(samples * factor) - mfcc(samples)
    np.testing.assert_allclose(moved[..., 0], np.sqrt(40) * 2 * np.log(factor), atol=1e-3)
    np.testing.assert_allclose(moved[..., 1:], 0, atol=1e-3)


def test_too_short_a_sound_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected samples \(N, S\) with S of at least 240, got shape \(1, 239\)"):
        mfcc(np.zeros((1, 239)))
