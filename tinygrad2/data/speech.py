"""The Free Spoken Digit Dataset: 3,000 recordings of 0 to 9 by six speakers, 8 kHz, as cepstral coefficients (MFCC).

It stands in for Google's speech commands, which logit-gradient regularisation trains on; the features are the same 40.
Source: Z. Jackson et al., github.com/Jakobovski/free-spoken-digit-dataset, CC BY-SA 4.0.
"""

from __future__ import annotations

import wave
from io import BytesIO
from itertools import product
from pathlib import Path

import numpy as np

from .dataset import Dataset
from .files import damaged, find, read_zip

__all__ = ["mfcc", "speech"]

FILE = "fsdd.zip"
SHA256 = "6e5b68d121bbfc7cc2d1f6fc396245a277f29dd6372fc5390f8657b3b63ebb50"
SPEAKERS = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")
TAKES = 50
TEST_TAKES = 5  # takes 0 to 4 are the test set, as in the official split
RATE = 8000  # samples a second, and samples of each example: one second
LONGEST = 40_000  # bytes of one recording
WINDOW = 240  # samples: 30 ms
HOP = 80  # samples: 10 ms
FFT = 512  # samples, filled up with zeros: otherwise low filters would lie between the bins of the transform
COEFFICIENTS = 40  # of each frame, from as many filters
LOW = 20.0  # hertz: where the first filter begins; the last one ends at half the rate
LEAST_ENERGY = 1e-6  # added to the energy of each filter, so that the logarithm of silence is finite


def speech() -> Dataset:
    """Spoken digits, 2,700 training and 300 test recordings (N, 1, 98, 40): frames of 10 ms by 40 MFCC; no box.

    Each recording is cut, or filled up with silence, to one second. Digits and speakers take turns, so that
    each is equally frequent among the first n of either half.

    Raises FileNotFoundError, and ValueError for a damaged file.
    """
    path = find("speech", FILE, "github.com/Jakobovski/free-spoken-digit-dataset, with its recordings/ and LICENSE.txt")
    names = [f"recordings/{d}_{who}_{i}.wav" for i, who, d in product(range(TAKES), SPEAKERS, range(10))]
    *recordings, _ = read_zip(path, [*names, "LICENSE.txt"], SHA256, LONGEST)
    samples = np.stack([_samples(path, name, content) for name, content in zip(names, recordings, strict=True)])
    x = mfcc(samples)[:, None].astype(np.float32)
    y = np.arange(len(names)) % 10
    n_test = TEST_TAKES * len(SPEAKERS) * 10
    return Dataset("speech", x[n_test:], y[n_test:], x[:n_test], y[:n_test], tuple("0123456789"))


def mfcc(samples: np.ndarray) -> np.ndarray:
    """Mel-frequency cepstral coefficients of speech.

    samples: (N, S), in [-1, 1], at 8 kHz; result: (N, T, 40), float64, T = S/80 - 2

    The orthonormal cosine transform of the log energies of 40 triangular filters, even on the mel scale, of Hann
    windows of 30 ms every 10 ms. Source: Davis & Mermelstein 1980. Raises ValueError for less than one window.

    >>> data.mfcc(np.zeros((1, 8000))).shape
    (1, 98, 40)
    """
    if samples.ndim != 2 or samples.shape[1] < WINDOW:
        raise ValueError(f"mfcc: expected samples (N, S) with S of at least {WINDOW}, got shape {samples.shape}")
    frames = np.lib.stride_tricks.sliding_window_view(samples, WINDOW, axis=1)[:, ::HOP]
    power = abs(np.fft.rfft(frames * np.hanning(WINDOW), FFT)) ** 2
    cepstrum: np.ndarray = np.log(power @ _filters().T + LEAST_ENERGY) @ _cosines().T
    return cepstrum


def _filters() -> np.ndarray:
    """(40, FFT/2 + 1): triangles from each centre to its neighbours, evenly spaced in mel = 2595 log10(1 + f/700)."""
    low, high = (2595 * np.log10(1 + f / 700) for f in (LOW, RATE / 2))
    mel = np.linspace(low, high, COEFFICIENTS + 2)
    edges = 700 * (10 ** (mel / 2595) - 1)
    f = np.fft.rfftfreq(FFT, 1 / RATE)
    left, centre, right = (edges[i : i + COEFFICIENTS, None] for i in range(3))
    return np.maximum(0, np.minimum((f - left) / (centre - left), (right - f) / (right - centre)))


def _cosines() -> np.ndarray:
    """(40, 40): the orthonormal DCT-II."""
    n = COEFFICIENTS
    table: np.ndarray = np.sqrt(2 / n) * np.cos(np.pi / n * np.outer(np.arange(n), np.arange(n) + 0.5))
    table[0] /= np.sqrt(2)
    return table


def _samples(path: Path, name: str, content: bytes) -> np.ndarray:
    """One second, (8000,) float64 in [-1, 1)."""
    try:
        with wave.open(BytesIO(content)) as recording:
            form = recording.getnchannels(), recording.getsampwidth(), recording.getframerate()
            if form != (1, 2, RATE):
                raise damaged(path, f"1 channel of 2 bytes at {RATE} Hz in {name}", "{} of {} at {}".format(*form))
            heard = np.frombuffer(recording.readframes(RATE), "<i2") / 32768
    except (wave.Error, EOFError) as reason:
        raise damaged(path, f"a WAVE recording in {name}", str(reason) or "its end") from reason
    return np.pad(heard, (0, RATE - len(heard)))
