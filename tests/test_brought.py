"""What users bring: files of code, data in .npz files and folders of images, entry points; fault 19 of the list."""

from __future__ import annotations

import statistics
import sys
import textwrap
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest

from tinygrad2 import data, nn
from tinygrad2 import experiments as ex
from tinygrad2.cli import main
from tinygrad2.experiments import brought, catalogues
from tinygrad2.experiments import config as c

Error = Callable[..., str]
TINY = [
    *("data.n_train=100", "data.n_test=40", "data.pixels=unit"),
    *("reference.epochs=1", "defense.epochs=1", "eval.n_curve=0"),
]
MINE = """
    import numpy as np
    from tinygrad2 import nn, robust

    def net(in_features, classes, rng):
        return nn.Sequential(flatten=nn.Flatten(), fc=nn.Linear(in_features, classes, rng=rng))

    def penalty(trace):
        return (trace.jacobian() ** 2).mean()

    class Louder(robust.Defense):
        def losses(self, net, x, labels, index):
            return super().losses(net, x + 0.01, labels, index)

    def step(net, x, labels, *, epsilon=0.1, side="up"):
        return x + (epsilon if side == "up" else -epsilon)

    def loud(net, x, labels, p=2):
        return np.asarray(x) * 2

    def broken(**options):
        return {}["nothing"]

    def three(trace):
        return 3

    digits = lambda: robust
"""


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "mine.py"
    path.write_text(textwrap.dedent(MINE), encoding="utf-8")
    return path


def sets(*more: str) -> list[str]:
    return [part for s in ("data.name=digits", "model.name=mine.py:net", *TINY, *more) for part in ("--set", s)]


# --- code


def test_a_network_a_penalty_and_a_defense_of_ones_own_train_together(
    mine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["train", *sets(), "--defense", "mine.py:Louder", "--penalty", "mine.py:penalty"]
    assert main(argv) == 0
    out = Path("runs", "default-Louder+penalty")
    assert f"all is in {out}" in capsys.readouterr().out
    result = ex.Folder(out).result()
    assert list(result["rows"]) == ["Reference", "Louder+penalty"]
    assert result["brought"] == {"mine.py": brought.digest(mine.read_bytes())}
    lines = [e for e in ex.Folder(out).metrics() if e["kind"] == "steps" and e["phase"] != "reference"]
    assert all(e["regularizer"] > 0 for e in lines)


def test_our_own_defense_takes_a_penalty_of_the_users(mine: Path) -> None:
    both = ['defense.name="adversarial"', 'penalty.name="mine.py:penalty"']
    assert c.defended("adversarial", "mine.py:penalty") == both
    assert c.defended(None, "mine.py:penalty")[0] == 'defense.name="none"'
    assert c.defended("mine.py:Louder") == ['defense.name="mine.py:Louder"', 'penalty.name="none"']
    with pytest.raises(ValueError, match="two penalties, 'jacobian_l1' and 'logit_margin'; leave one out"):
        c.defended("jacobian_l1", "logit_margin")


@pytest.mark.parametrize(
    ("name", "options", "norm", "size"),
    [
        ("mine.py:step", {}, "l∞", 0.1),
        ("mine.py:step", {"epsilon": 0.25, "side": "down"}, "l∞", 0.25),
        ("mine.py:loud", {}, "l2", np.sqrt(3)),
        ("mine.py:loud", {"p": 1}, "l1", 3.0),
    ],
)
def test_an_attack_that_gives_images_is_measured(
    mine: Path, name: str, options: dict[str, object], norm: str, size: float
) -> None:
    attack = catalogues.find_attack(name)
    net = nn.Sequential(nn.Flatten(), nn.Linear(3, 2, rng=0))
    found = attack.run(net, np.ones((4, 3), np.float32), [0, 0, 1, 1], **options)
    assert found.norm == norm
    np.testing.assert_allclose(found.norms, size, rtol=1e-6)
    np.testing.assert_array_equal(found.success, net(found.adversarial).numpy().argmax(1) != [0, 0, 1, 1])


def test_options_of_an_attack_of_ones_own(mine: Path, error: Error) -> None:
    out = Path("run")
    assert main(["train", *sets("defense.epochs=0"), "--out", str(out)]) == 0
    argv = ["attack", out, "--attack", "mine.py:step"]
    assert main(list(map(str, [*argv, "--epsilon", "0.2", "--option", "side=down"]))) == 0
    a = nn.load(out / "attack-step" / "adversarial.npz")
    moved = abs(a["adversarial"] - a["images"]).reshape(40, -1).max(1) > 0
    np.testing.assert_allclose(a["adversarial"][moved], a["images"][moved] - 0.2, atol=1e-6)
    assert moved.sum() > 30
    assert (a["before"] != a["labels"])[~moved].all()  # an attack does not repair what was wrong
    assert "takes no sid (did you mean 'side'?); it takes epsilon, side" in error(*argv, "--option", "sid=up")
    assert "--option expects name=value, such as --option passes=3; got 'up'" in error(*argv, "--option", "up")


WRONG = [
    (["--set", "model.name=none.py:net"], "no such file: none.py (looked for in "),
    (["--set", "model.name=mine.py:nett"], "mine.py has no function 'nett' (did you mean 'net'?)"),
    (["--set", "model.name=mine.py:np"], "mine.py has no function 'np'"),
    (["--set", "model.name=mine.py:broken"], "mine.py, line 22: KeyError: 'nothing'"),
    (["--set", "model.name=mine.py:step"], "mine.py:step: it needs 'net', but it is given: rng"),
    (["--set", "model.name=mine.py:digits"], "mine.py:digits: expected a network, a tinygrad2.nn.Layer, got module"),
    (["--set", "data.name=mine.py:digits"], "mine.py:digits: expected a tinygrad2.data.Dataset, got module"),
    (["--set", "defense.name=mine.py:net"], "it needs 'in_features', but it is given: objective, rng, box"),
    (["--penalty", "mine.py:penalti"], "mine.py has no function 'penalti' (did you mean 'penalty'?)"),
    (["--penalty", "jacobian"], "unknown penalty 'jacobian'"),
    (["--set", "model.name=syntax.py:net"], "syntax.py, line 2: SyntaxError"),
    (["--set", "model.name=leaves.py:net"], "leaves.py, line 1: SystemExit: 3"),
    (["--set", "model.name=python:Mine"], "'Mine' was given to tg.experiments.fit, and only it can go on"),
]


@pytest.mark.parametrize(("argv", "message"), WRONG)
def test_what_is_wrong_in_a_file_is_one_line_with_its_place(
    mine: Path, error: Error, argv: list[str], message: str
) -> None:
    Path("syntax.py").write_text("\ndef net(:\n", encoding="utf-8")
    Path("leaves.py").write_text("raise SystemExit(3)\n", encoding="utf-8")
    assert message in error("train", *sets(), *argv, "--out", "run")
    assert not Path("run").exists()


def test_a_file_runs_once_and_again_when_it_has_changed(mine: Path) -> None:
    mine.write_text("calls = []\ndef net():\n    calls.append(1)\n    return len(calls)\n", encoding="utf-8")
    assert [brought.load("mine.py:net")(), brought.load("mine.py:net")()] == [1, 2]
    mine.write_text(mine.read_text(encoding="utf-8") + "#\n", encoding="utf-8")
    assert brought.load("mine.py:net")() == 1


def test_a_package_joins_with_an_entry_point(mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = EntryPoint("my_mean", "statistics:mean", "tinygrad2.penalties")
    monkeypatch.setattr(brought, "entry_points", lambda group: [entry] if group == entry.group else [])
    found = brought.Catalogue("penalties", catalogues.PENALTIES.known)
    assert "my_mean" in found
    assert "my_mean" in list(found)
    assert found.find("my_mean") is statistics.mean
    assert "my_mean" not in brought.Catalogue("models", {})
    monkeypatch.setattr(catalogues.PENALTIES, "installed", found.installed)
    assert "my_mean" in ex.listing("penalties")
    assert c.resolve(sets=["penalty.name=my_mean"]).penalty.name == "my_mean"


# --- data


def arrays() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.random((30, 1, 4, 4))
    y = np.arange(30) % 3
    return {"x_train": x, "y_train": y, "x_test": x[:10], "y_test": y[:10]}


def test_an_npz_file_is_a_data_set(tmp_path: Path) -> None:
    path = str(tmp_path / "mine.npz")
    np.savez(path, **arrays(), box=[0, 1], classes=["a", "b", "c"])
    found = data.load(path)
    assert (found.box, found.classes, found.x_train.dtype, found.y_train.dtype) == ((0, 1), ("a", "b", "c"), "f4", "i8")
    np.testing.assert_array_equal(found.x_test, arrays()["x_test"].astype(np.float32))
    assert data.centre(found).range == (0, 1)
    np.savez(path, **arrays())
    assert (data.load(path).box, data.load(path).classes) == (None, ("0", "1", "2"))
    np.savez(path, **{k: (255 * v).astype(np.uint8) if k[0] == "x" else v for k, v in arrays().items()})
    assert data.load(path).box == (0, 255)


def test_pixels_of_any_box_can_be_scaled(tmp_path: Path) -> None:
    path = str(tmp_path / "mine.npz")
    np.savez(path, **{k: 4 * v - 3 if k[0] == "x" else v for k, v in arrays().items()}, box=[-3, 1])
    found = data.unit(data.load(path))
    assert found.box == (0, 1)
    np.testing.assert_allclose(found.x_train, arrays()["x_train"], atol=1e-6)


NPZ = [
    ({"y_test": None}, "holds no y_test; expected x_train, y_train, x_test, y_test, and maybe box, classes"),
    ({"xtrain": np.zeros(3)}, "holds 'xtrain' too"),
    ({"y_train": np.zeros(30)}, "y_train: expected integers, got float64"),
    ({"x_train": np.array(["a"])}, "x_train: expected numbers, got <U1"),
    ({"x_train": np.array([{}], dtype=object)}, "is not a readable .npz file of plain arrays"),
    ({"y_test": np.zeros(0, int)}, "y_test: expected at least one sample, got shape (0,)"),
    ({"y_train": np.arange(29)}, "labels: expected shape (30,)"),
    ({"y_train": np.arange(30) - 1}, "labels: expected 0 to"),
    ({"x_test": np.zeros((10, 1, 4, 5))}, "expected images of one shape"),
    ({"x_train": np.full((30, 1, 4, 4), np.nan)}, "expected finite pixels"),
    ({"box": np.array([1, 0])}, "box: expected the lowest and the highest pixel"),
    ({"box": np.array([0, 0.5])}, "expected pixels in [0, 0.5]"),
    ({"classes": np.array(["one"])}, "labels: expected 0 to 0"),
]


@pytest.mark.parametrize(("change", "message"), NPZ)
def test_a_wrong_npz_file_is_named_with_what_is_wrong(
    tmp_path: Path, error: Error, change: dict[str, np.ndarray | None], message: str
) -> None:
    path = tmp_path / "mine.npz"
    np.savez(path, allow_pickle=True, **{k: v for k, v in (arrays() | change).items() if v is not None})
    line = error("train", "--set", f"data.name={path}", "--out", tmp_path / "run")
    assert str(path) in line
    assert message in line
    path.write_bytes(path.read_bytes()[:-50])
    line = error("train", "--set", f"data.name={path}", "--out", tmp_path / "run")
    assert f"{path} is not a readable .npz file" in line


def pictures(root: Path, sizes: tuple[int, ...] = (6,) * 10, colour: bool = False) -> Path:
    """Two classes with an image of each size: dark and bright."""
    image = pytest.importorskip("PIL.Image", reason="the images are written with Pillow")
    for name, value in (("dark", 10), ("bright", 240)):
        (root / name).mkdir(parents=True)
        for i, size in enumerate(sizes):
            pixel = (value, 0, 0) if colour else (value,) * 3
            image.new("RGB", (size, size), pixel).save(root / name / f"{i:02}.png")
    return root


def test_a_folder_of_images_is_a_data_set(tmp_path: Path) -> None:
    found = data.load(str(pictures(tmp_path / "photos")))
    assert (found.classes, found.box) == (("bright", "dark"), (0, 255))
    assert (found.x_train.shape, found.x_test.shape) == ((16, 1, 6, 6), (4, 1, 6, 6))
    assert found.y_test.tolist() == [0, 0, 1, 1]
    assert found.x_test[:, 0, 0, 0].tolist() == [240, 240, 10, 10]
    assert data.load(str(pictures(tmp_path / "colour", colour=True))).x_train.shape == (16, 3, 6, 6)


def test_train_and_test_folders_and_a_size(tmp_path: Path) -> None:
    pictures(tmp_path / "photos" / "train", (4, 8))
    pictures(tmp_path / "photos" / "test", (16,))
    found = data.load(str(tmp_path / "photos"), size=5)
    assert (found.x_train.shape, found.x_test.shape) == ((4, 1, 5, 5), (2, 1, 5, 5))
    with pytest.raises(ValueError, match=r"01\.png: images of sizes 4x4 and 8x8; choose one: data\.size=32"):
        data.load(str(tmp_path / "photos"))


def test_a_folder_trains_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = pictures(tmp_path / "photos", (6,) * 20)
    argv = [f"data.name={folder}", "data.size=6", "model.hidden=[4]", "data.pixels=unit"]
    argv += ["reference.epochs=30", "reference.lr=0.05", "defense.epochs=0"]
    out = tmp_path / "run"
    assert main(["train", *(part for s in argv for part in ("--set", s)), "--out", str(out)]) == 0
    result = ex.Folder(out).result()
    assert result["rows"]["Reference"]["accuracy"] == 1
    assert list(result["brought"]) == [str(folder)]
    (folder / "dark" / "00.png").unlink()
    capsys.readouterr()
    assert main(["train", "--out", str(out), "--resume"]) == 2
    assert f"the run began in another way: {folder} is" in capsys.readouterr().err


def test_a_folder_that_is_no_data_set_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="expected at least two folders, one for each class, got 0"):
        data.load(str(tmp_path))
    folder = pictures(tmp_path / "few", (6, 6))
    with pytest.raises(ValueError, match="expected test images, found none; a class needs at least 5 images"):
        data.load(str(folder))
    damaged = pictures(tmp_path / "damaged")
    (damaged / "dark" / "00.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"00\.png is not a readable image"):
        data.load(str(damaged))
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ModuleNotFoundError, match=r"needs Pillow: pip install 'tinygrad2\[lab\]'"):
        data.load(str(damaged))


def test_samples_that_are_no_images_get_their_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "rows.npz"
    np.savez(path, **{k: v.reshape(len(v), -1) if k[0] == "x" else v for k, v in arrays().items()})
    argv = [f"data.name={path}", "data.pixels=raw", "model.hidden=[4]", "reference.epochs=2", "defense.epochs=0"]
    assert main(["train", *(part for s in argv for part in ("--set", s)), "--out", str(tmp_path / "run")]) == 0
    out, err = capsys.readouterr()
    assert "Reference" in out
    assert "no perturbations.png: samples of shape (16,) are no images in grey or in colour" in err
