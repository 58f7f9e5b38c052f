"""Files of named arrays come back bit for bit, appear whole or not at all, and say what is wrong with them."""

from __future__ import annotations

import json
import os
import pickle
import stat
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tinygrad2 import cross_entropy, nn


@pytest.fixture(params=[".npz", ".safetensors"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    if request.param == ".safetensors":
        pytest.importorskip("safetensors")
    return tmp_path / f"state{request.param}"


def arrays() -> dict[str, np.ndarray]:
    return {
        "fc.weight": np.arange(6, dtype=np.float32).reshape(2, 3),
        "steps": np.asarray(7),
        "empty": np.zeros((0, 3)),
    }


def assert_same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> None:
    assert one.keys() == other.keys()
    for name, a in one.items():
        assert (a.shape, a.dtype, a.tobytes()) == (other[name].shape, other[name].dtype, other[name].tobytes()), name


names = st.text(st.characters(codec="utf-8", exclude_characters="\0/\\:", exclude_categories=["Cs", "Cc"]), min_size=1)
dtypes = st.sampled_from([np.float32, np.float64, np.int64, np.uint8, np.bool_])


values = st.dictionaries(names, hnp.arrays(dtypes, hnp.array_shapes(min_dims=0, min_side=0, max_side=4)), max_size=4)


@pytest.mark.parametrize("suffix", nn.io.FORMATS)
@given(values)
def test_arrays_come_back_bit_for_bit(suffix: str, values: dict[str, np.ndarray]) -> None:
    if suffix == ".safetensors":
        pytest.importorskip("safetensors")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, f"any{suffix}")
        nn.save(file, values)
        assert_same(nn.load(file), values)


def test_a_net_and_its_optimizer_survive_the_round_trip(path: Path) -> None:
    nets = [nn.models.mlp(4, (3,), 2) for _ in range(2)]
    nn.save(path, nets[0].state_dict())
    nets[1].load_state_dict(nn.load(path))
    assert_same(nets[0].state_dict(), nets[1].state_dict())
    optimizer = nn.Adam(nets[0].parameters(), lr=0.25)
    nn.save(path, optimizer.state_dict())
    nn.Adam(nets[1].parameters()).load_state_dict(nn.load(path))
    assert_same(nn.load(path), optimizer.state_dict())


def test_a_run_resumed_from_files_continues_bit_for_bit(tmp_path: Path) -> None:
    """Parameters, running statistics, the optimizer and the generator of the masks: nothing else carries state."""
    rng = np.random.default_rng(0)
    x, labels = rng.standard_normal((8, 6)).astype(np.float32), rng.integers(0, 3, 8)

    def start() -> tuple[nn.Layer, nn.Optimizer]:
        net = nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.Dropout(0.5), nn.Linear(5, 3))
        return net, nn.Adam(net.parameters(), lr=0.1)

    def train(net: nn.Layer, optimizer: nn.Optimizer, steps: int) -> None:
        for _ in range(steps):
            optimizer.zero_grad()
            cross_entropy(net(x), labels).backward()
            optimizer.step()

    (net, optimizer), (again, resumed) = start(), start()
    train(net, optimizer, 3)
    nn.save(tmp_path / "net.npz", net.state_dict())
    nn.save(tmp_path / "optimizer.npz", optimizer.state_dict())
    generators = json.dumps(nn.rng_state(net))
    train(net, optimizer, 4)

    again.load_state_dict(nn.load(tmp_path / "net.npz"))
    resumed.load_state_dict(nn.load(tmp_path / "optimizer.npz"))
    nn.set_rng_state(again, json.loads(generators))
    train(again, resumed, 4)
    assert_same(again.state_dict(), net.state_dict())


def test_views_of_any_layout_are_saved_as_what_they_show(path: Path) -> None:
    a = np.arange(24.0).reshape(4, 6)
    views = {"transposed": a.T, "reversed": a[::-1], "strided": a[:, ::2], "read-only": np.broadcast_to(a[0], (2, 6))}
    nn.save(path, views)
    assert_same(nn.load(path), {name: np.ascontiguousarray(v) for name, v in views.items()})


def test_numpy_reads_our_npz_and_we_read_numpys(tmp_path: Path) -> None:
    nn.save(tmp_path / "ours.npz", arrays() | {"file": np.ones(1), "allow_pickle": np.zeros(1)})  # names savez forbids
    with np.load(tmp_path / "ours.npz", allow_pickle=False) as archive:
        assert_same(dict(archive), nn.load(tmp_path / "ours.npz"))
    for write in (np.savez, np.savez_compressed):
        write(tmp_path / "theirs.npz", **arrays())
        assert_same(nn.load(tmp_path / "theirs.npz"), arrays())


def test_a_json_string_travels_in_an_npz(tmp_path: Path) -> None:
    nn.save(tmp_path / "a.npz", {"config": np.asarray('{"seed": 0, "name": "ρ₂"}')})
    assert nn.load(tmp_path / "a.npz")["config"].item() == '{"seed": 0, "name": "ρ₂"}'


def test_the_same_arrays_give_the_same_bytes(path: Path) -> None:
    nn.save(path, arrays())
    first = path.read_bytes()
    nn.save(path, arrays())
    assert path.read_bytes() == first


# --- Reading what is not right ----------------------------------------------------------------------------------------


def test_a_missing_file_is_named(path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=f"no such file: .*state{path.suffix}"):
        nn.load(path)
    with pytest.raises(FileNotFoundError, match="no such file"):
        path.mkdir()
        nn.load(path)


def test_every_truncated_file_is_refused_by_name(path: Path) -> None:
    nn.save(path, arrays())
    whole = path.read_bytes()
    for length in {*range(0, len(whole), 37), len(whole) - 1}:
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=rf"state\{path.suffix} is not a readable \{path.suffix} file"):
            nn.load(path)


@pytest.mark.parametrize("flip", [1, 2, 64, 255])
def test_whichever_byte_is_damaged_the_arrays_are_right_or_refused(flip: int, tmp_path: Path) -> None:
    """.npz carries checksums, and a count of its entries."""
    file = tmp_path / "a.npz"
    nn.save(file, arrays())
    content = file.read_bytes()
    refused = 0
    for i, byte in enumerate(content):
        file.write_bytes(content[:i] + bytes([byte ^ flip]) + content[i + 1 :])
        try:
            assert_same(nn.load(file), arrays())
        except ValueError as error:
            assert "a.npz is not a readable .npz file" in str(error)
            refused += 1
    assert refused > len(content) / 2


def test_a_large_array_that_claims_to_be_smaller_is_refused(tmp_path: Path) -> None:
    """Reading it would stop before the end, where zipfile compares the checksum."""
    file = tmp_path / "a.npz"
    nn.save(file, {"big": np.arange(3000.0)})
    file.write_bytes(file.read_bytes().replace(b"(3000,)", b"(1000,)"))
    with pytest.raises(ValueError, match=r"the checksum of big\.npy is wrong"):
        nn.load(file)


class Bomb:
    def __reduce__(self) -> Any:
        return os.abort, ()


def foreign_files() -> dict[str, bytes]:
    """Files that call themselves .npz but are not archives of plain arrays; opening the pickles would abort."""
    with tempfile.TemporaryDirectory() as folder:
        npy, npz, text = (Path(folder, name) for name in ("a.npy", "b.npz", "c.zip"))
        np.save(npy, np.ones(3))
        np.savez(npz, a=np.array([Bomb()], dtype=object), allow_pickle=True)
        with zipfile.ZipFile(text, "w") as archive:
            archive.writestr("readme.txt", "not an array")
        files = {"a bare array": npy, "an array of objects": npz, "a zip of text": text}
        contents = {name: file.read_bytes() for name, file in files.items()}
    return contents | {"a pickle": pickle.dumps(Bomb()), "text": b"hello", "nothing": b""}


@pytest.mark.parametrize(
    ("kind", "content"), foreign_files().items(), ids=lambda value: value if isinstance(value, str) else ""
)
def test_a_foreign_file_is_refused_and_never_unpickled(kind: str, content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "a.npz"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.npz is not a readable \.npz file of plain arrays"):
        nn.load(file)


def test_an_unknown_suffix_lists_the_known_ones(tmp_path: Path) -> None:
    for use in (nn.load, lambda p: nn.save(p, arrays())):
        with pytest.raises(
            ValueError, match=r"unknown kind of file '.pkl'; expected a name ending in .npz or .safetens"
        ):
            use(tmp_path / "a.pkl")
    assert not list(tmp_path.iterdir())


def test_without_safetensors_installed_the_error_says_how_to_get_it(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setitem(sys.modules, "safetensors", None)
    for use in (nn.load, lambda p: nn.save(p, arrays())):
        with pytest.raises(ModuleNotFoundError, match=r"pip install safetensors \(or use .npz\)"):
            use(tmp_path / "a.safetensors")
    assert not list(tmp_path.iterdir())


# --- Writing whole or not at all --------------------------------------------------------------------------------------


def test_objects_are_not_saved(path: Path) -> None:
    with pytest.raises(TypeError, match="cannot save 'bad': it holds Python objects"):
        nn.save(path, arrays() | {"bad": np.array([None])})
    assert not list(path.parent.iterdir())


def test_a_missing_folder_is_named_and_not_made(path: Path) -> None:
    target = path.parent / "runs" / path.name
    with pytest.raises(FileNotFoundError, match=r"there is no folder .*runs"):
        nn.save(target, arrays())
    path.write_text("a file, not a folder")
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        nn.save(path / path.name, arrays())
    with (
        pytest.raises(IsADirectoryError, match="it is a folder; give the name of a file"),
        nn.atomic_write(path.parent),
    ):
        pass
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_a_read_only_folder_is_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)  # root may write anywhere, so the refusal is played
    with pytest.raises(
        PermissionError, match=r"cannot write .*state.*: no file can be made in .* \(Permission denied\)"
    ):
        nn.save(path, arrays())
    assert not list(path.parent.iterdir())


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failure_while_writing_leaves_the_old_file_and_nothing_else(
    path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    nn.save(path, arrays())

    def fail(*args: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(OSError, match="No space left"):
        nn.save(path, {"other": np.ones(3)})
    monkeypatch.undo()
    assert_same(nn.load(path), arrays())
    assert list(path.parent.iterdir()) == [path]


def test_an_interrupt_inside_the_block_leaves_the_old_file(tmp_path: Path) -> None:
    file = tmp_path / "result.json"
    with nn.atomic_write(file, "w") as f:
        f.write("ρ₂ = 1")
    with pytest.raises(KeyboardInterrupt), nn.atomic_write(file, "w") as f:
        f.write("half")
        raise KeyboardInterrupt
    assert file.read_text(encoding="utf-8") == "ρ₂ = 1"
    assert list(tmp_path.iterdir()) == [file]


def test_two_writers_at_once_do_not_meet(tmp_path: Path) -> None:
    """The last to finish wins, whole; what a killed writer left behind is in nobody's way."""
    file = tmp_path / "a.txt"
    with nn.atomic_write(file, "w") as slow:
        slow.write("slow")
        with nn.atomic_write(file, "w") as fast:
            fast.write("fast and longer")
        assert file.read_text() == "fast and longer"
    assert file.read_text() == "slow"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no permission bits")
def test_others_may_read_the_file_as_the_umask_says(path: Path) -> None:
    path.with_name("plain").touch()
    nn.save(path, arrays())
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(path.with_name("plain").stat().st_mode)
