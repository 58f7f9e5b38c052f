"""MNIST's files: the real ones, damaged ones of every kind, and the download, tried against a server of this test."""

from __future__ import annotations

import functools
import gzip
import hashlib
import http.server
import importlib
import sys
import threading
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad2.data import centre, load
from tinygrad2.data.idx import read_idx

# `tinygrad2.data.mnist` is the function; the module's tables are what these tests replace.
mnist_module = importlib.import_module("tinygrad2.data.mnist")


def idx(array: np.ndarray) -> bytes:
    sizes = (0x0800 + array.ndim, *array.shape)
    return b"".join(size.to_bytes(4, "big") for size in sizes) + array.astype(np.uint8).tobytes()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


IMAGES = np.random.default_rng(0).integers(0, 256, (3, 4, 5)).astype(np.uint8)
CONTENT = idx(IMAGES)


# --- the idx format ---------------------------------------------------------------------------------------------------


@given(shape=st.lists(st.integers(1, 5), min_size=1, max_size=3), seed=st.integers(0, 99), packed=st.booleans())
def test_reading_is_the_inverse_of_writing(tmp_path_factory, shape, seed, packed):
    array = np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)
    path = tmp_path_factory.mktemp("idx") / ("a.gz" if packed else "a")
    path.write_bytes(gzip.compress(idx(array)) if packed else idx(array))
    back = read_idx(path, tuple(shape), sha256(idx(array)))
    assert back.dtype == np.uint8 and np.array_equal(back, array)


DAMAGE = {
    "empty": (b"", "expected 76 uncompressed bytes, found 0"),
    "cut in the magic number": (CONTENT[:3], "expected 76 uncompressed bytes, found 3"),
    "cut in the sizes": (CONTENT[:13], "expected 76 uncompressed bytes, found 13"),
    "cut in the pixels": (CONTENT[:-1], "expected 76 uncompressed bytes, found 75"),
    "a byte too long": (CONTENT + b"\0", "expected 76 uncompressed bytes, found more than 76"),
    "labels for images": (idx(np.arange(9)), "expected magic number 2051, found 2049"),
    "a web page": (
        b"<!DOCTYPE html><html><body>404 Not Found</body></html>",
        "expected magic number 2051, found 1008813135",
    ),
    "another shape": (idx(IMAGES.reshape(3, 5, 4)), r"expected shape \(3, 4, 5\), found \(3, 5, 4\)"),
    "other pixels": (idx(IMAGES ^ 1), "expected SHA-256 .* of the uncompressed content, found"),
}


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gz"])
@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_file_is_named_with_what_was_expected_and_found(tmp_path, kind, packed):
    content, message = DAMAGE[kind]
    path = tmp_path / ("images.gz" if packed else "images")
    path.write_bytes(gzip.compress(content) if packed else content)
    with pytest.raises(ValueError, match=f"{path.name}: {message}.*delete the file and fetch it again"):
        read_idx(path, IMAGES.shape, sha256(CONTENT))


PACKED = gzip.compress(CONTENT, mtime=0)


@given(length=st.integers(0, len(PACKED) - 1))
def test_a_gzip_stream_cut_anywhere_is_refused(tmp_path_factory, length):
    path = tmp_path_factory.mktemp("cut") / "images.gz"
    path.write_bytes(PACKED[:length])
    with pytest.raises(ValueError, match="expected 76 uncompressed bytes, found"):
        read_idx(path, IMAGES.shape, sha256(CONTENT))


@given(place=st.integers(0, len(PACKED) - 1), flip=st.integers(1, 255))
def test_no_flipped_byte_changes_an_image_unnoticed(tmp_path_factory, place, flip):
    packed = bytearray(PACKED)
    packed[place] ^= flip
    path = tmp_path_factory.mktemp("flip") / "images.gz"
    path.write_bytes(packed)
    try:
        back = read_idx(path, IMAGES.shape, sha256(CONTENT))
    except ValueError as error:
        assert "images.gz: expected" in str(error)
    else:  # the time stamp and the operating system in the gzip header mean nothing
        assert np.array_equal(back, IMAGES)


def test_a_file_that_is_not_gzip_says_so(tmp_path):
    path = tmp_path / "images.gz"
    path.write_bytes(CONTENT)
    with pytest.raises(ValueError, match=r"found a gzip stream that breaks after 0 .*Not a gzipped file"):
        read_idx(path, IMAGES.shape, sha256(CONTENT))


def test_a_gzip_bomb_is_not_unpacked(tmp_path):
    path = tmp_path / "images.gz"
    path.write_bytes(gzip.compress(CONTENT[:16] + bytes(200 << 20), compresslevel=1))
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="expected 76 uncompressed bytes, found more than 76"):
            read_idx(path, IMAGES.shape, sha256(CONTENT))
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


# --- where the files come from ----------------------------------------------------------------------------------------


@pytest.fixture
def tiny_mnist(monkeypatch, tmp_path) -> dict[str, bytes]:
    """Four tiny files in place of the published ones, as name -> content; an empty data folder and download cache."""
    rng = np.random.default_rng(1)
    contents = {
        "train-images-idx3-ubyte": idx(rng.integers(0, 256, (12, 28, 28))),
        "train-labels-idx1-ubyte": idx(rng.integers(0, 10, 12)),
        "t10k-images-idx3-ubyte": idx(rng.integers(0, 256, (5, 28, 28))),
        "t10k-labels-idx1-ubyte": idx(rng.integers(0, 10, 5)),
    }
    assert list(contents) == list(mnist_module.FILES)
    files = {
        name: mnist_module.IdxFile(
            (12 if "train" in name else 5, *([28, 28] if "images" in name else [])),
            content=sha256(content),
            gz=sha256(gzip.compress(content, mtime=0)),
        )
        for name, content in contents.items()
    }
    monkeypatch.setattr(mnist_module, "FILES", files)
    (tmp_path / "data" / "mnist").mkdir(parents=True)
    monkeypatch.setenv("TINYGRAD2_DATA", str(tmp_path / "data"))
    pooch = pytest.importorskip("pooch")
    monkeypatch.setattr(pooch, "os_cache", lambda project: tmp_path / "cache" / project)
    monkeypatch.setattr(mnist_module, "MIRROR", "http://127.0.0.1:9/")  # the discard port: nobody listens
    return contents


@pytest.fixture
def mirror(tiny_mnist, monkeypatch, tmp_path):
    """A server of the four tiny gz files; yields its folder and the list of paths asked for."""
    folder, asked = tmp_path / "mirror", []
    folder.mkdir()
    for name, content in tiny_mnist.items():
        (folder / f"{name}.gz").write_bytes(gzip.compress(content, mtime=0))

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *message):
            asked.append(self.path)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(mnist_module, "MIRROR", f"http://127.0.0.1:{server.server_port}/")
    yield folder, asked
    server.shutdown()
    server.server_close()
    thread.join()


def _is_tiny(data, contents) -> bool:
    labels = np.frombuffer(contents["train-labels-idx1-ubyte"], np.uint8, offset=8)
    pixels = np.frombuffer(contents["t10k-images-idx3-ubyte"], np.uint8, offset=16)
    return np.array_equal(data.y_train, labels) and np.array_equal(data.x_test.reshape(-1), pixels)


@pytest.mark.parametrize("packed", [(), range(4), (0, 3)], ids=["plain", "gz", "mixed"])
def test_the_folder_may_hold_plain_and_gzipped_files(tiny_mnist, tmp_path, packed):
    for i, (name, content) in enumerate(tiny_mnist.items()):
        path = tmp_path / "data" / "mnist" / (name + ".gz" * (i in packed))
        path.write_bytes(gzip.compress(content) if i in packed else content)
    assert _is_tiny(load("mnist"), tiny_mnist)


def test_a_damaged_file_in_the_folder_is_an_error_not_a_reason_to_download(mirror, tiny_mnist, tmp_path):
    path = tmp_path / "data" / "mnist" / "train-images-idx3-ubyte"
    path.write_bytes(tiny_mnist[path.name][:-10])
    with pytest.raises(ValueError, match=r"train-images-idx3-ubyte: expected 9,424 uncompressed bytes, found 9,414"):
        load("mnist")
    assert mirror[1] == []


def test_a_data_folder_that_is_not_there_is_an_error(tiny_mnist, monkeypatch, tmp_path):
    monkeypatch.setenv("TINYGRAD2_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(FileNotFoundError, match=r"TINYGRAD2_DATA is .*nowhere.*, which is not a folder"):
        load("mnist")


def test_what_is_not_in_the_folder_is_downloaded_once(mirror, tiny_mnist, monkeypatch):
    monkeypatch.delenv("TINYGRAD2_DATA")
    assert _is_tiny(load("mnist"), tiny_mnist)
    assert _is_tiny(load("mnist"), tiny_mnist)
    assert sorted(mirror[1]) == sorted(f"/{name}.gz" for name in tiny_mnist)


def test_a_damaged_file_in_the_cache_is_fetched_again(mirror, tiny_mnist, tmp_path):
    load("mnist")
    cached = tmp_path / "cache" / "tinygrad2" / "mnist" / "t10k-images-idx3-ubyte.gz"
    cached.write_bytes(cached.read_bytes()[:-20])
    assert _is_tiny(load("mnist"), tiny_mnist)
    assert mirror[1].count("/t10k-images-idx3-ubyte.gz") == 2


def test_a_mirror_that_sends_something_else_is_not_believed(mirror, tmp_path):
    folder, _ = mirror
    (folder / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(b"log in to this network"))
    with pytest.raises(ValueError, match=r"train-labels-idx1-ubyte.gz sends is not the published file.*TINYGRAD2_DATA"):
        load("mnist")
    assert not (tmp_path / "cache" / "tinygrad2" / "mnist" / "train-labels-idx1-ubyte.gz").exists()


def test_a_file_that_the_mirror_lacks_is_reported(mirror):
    (mirror[0] / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(FileNotFoundError, match=r"could not fetch .*t10k-labels-idx1-ubyte.gz \(404.*load\('digits'\)"):
        load("mnist")


def test_offline_the_error_says_how_to_go_on(tiny_mnist):
    with pytest.raises(FileNotFoundError, match=r"could not fetch .*go on offline, set TINYGRAD2_DATA.*load\('digits'"):
        load("mnist")


def test_without_pooch_the_error_says_how_to_go_on(tiny_mnist, monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(FileNotFoundError, match=r"pip install 'tinygrad2\[lab\]'.*set TINYGRAD2_DATA.*load\('digits'"):
        load("mnist")


# --- the real files ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real(data_file):
    for name in mnist_module.FILES:
        data_file(f"mnist/{name}.gz")
    return load("mnist")


def test_mnist_is_the_published_data_set_in_its_order(real):
    assert real.x_train.shape == (60000, 1, 28, 28) and real.x_test.shape == (10000, 1, 28, 28)
    assert real.y_train[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert real.y_test[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    assert np.bincount(real.y_test).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert (real.x_train.min(), real.x_train.max()) == real.box == (0, 255)
    assert abs(real.x_train.mean(dtype=np.float64) / 255 - 0.1307) < 5e-5


def test_centred_mnist_has_mean_zero_at_every_pixel(real):
    centred = centre(real)
    assert abs(centred.x_train.mean(axis=0, dtype=np.float64)).max() < 1e-4
    assert abs(centred.mean.mean() / 255 - 0.1307) < 5e-5


def test_the_checksums_are_those_of_the_real_files(data_file):
    for name, file in mnist_module.FILES.items():
        with gzip.open(data_file(f"mnist/{name}.gz")) as stream:
            assert sha256(stream.read()) == file.content


def test_one_real_file_cut_short_is_refused(data_file, tmp_path):
    path: Path = data_file("mnist/t10k-images-idx3-ubyte.gz")
    cut = tmp_path / path.name
    cut.write_bytes(path.read_bytes()[:1_000_000])
    shape, content, _ = mnist_module.FILES["t10k-images-idx3-ubyte"]
    with pytest.raises(ValueError, match=r"expected 7,840,016 uncompressed bytes, found a gzip stream that breaks"):
        read_idx(cut, shape, content)
