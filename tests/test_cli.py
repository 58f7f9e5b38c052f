"""The command line: what each command writes; and bad input gets one clear error, exit code 2, and leaves nothing."""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

import tinygrad2
from tinygrad2 import data, nn
from tinygrad2.cli import main

ROOT = Path(__file__).parents[1]
TINY = [
    "data.name=digits",
    "data.n_train=200",
    "data.n_test=60",
    "model.hidden=[12]",
    "reference.epochs=4",
    "defense.epochs=1",
]
TINY_TRAIN = ["train", *(part for setting in TINY for part in ("--set", setting))]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of a finished run, made through the command line."""
    out = tmp_path_factory.mktemp("cli") / "run"
    assert main([*TINY_TRAIN, "--out", str(out)]) == 0
    return out


# what the commands do


def test_train_prints_the_table_and_writes_the_folder(finished, capsys):
    assert main(["train", "--out", str(finished), "--resume"]) == 0  # a finished run is only measured again
    out = capsys.readouterr().out
    assert re.search(r"^Reference +\d+\.\d\d %  0\.\d{4}( +\d+\.\d\d %){3}$", out, re.M)
    assert re.search(r"^Deep Defense +\d+\.\d\d %", out, re.M)
    assert "ε_ref = " in out
    assert f"all is in {finished}" in out


def test_a_run_loads_its_data_once(tmp_path, monkeypatch):
    loaded = []
    load = data.load
    monkeypatch.setattr(data, "load", lambda name, **options: loaded.append(name) or load(name, **options))
    assert main([*TINY_TRAIN, "--out", str(tmp_path / "run")]) == 0
    assert loaded == ["digits"]


def test_evaluate_a_run_repeats_its_table(finished, capsys):
    assert main(["evaluate", str(finished)]) == 0
    result = json.loads((finished / "result.json").read_text(encoding="utf-8"))
    out = capsys.readouterr().out
    for name, row in result["rows"].items():
        assert re.search(rf"^{name} +{100 * row['accuracy']:.2f} %  {row['rho2']:.4f}", out, re.M)
    assert re.search(r"\d+\.\d s, peak memory ", out)


def test_evaluate_weights_from_a_file(finished, capsys):
    weights = str(finished / "reference.npz")
    argv = ["evaluate", "--model", "mlp", "--weights", weights, "--data", "digits", "--set", "model.hidden=[12]"]
    assert main([*argv, "--set", "data.n_train=200", "--n", "50", "--mode", "corrected", "--saturating"]) == 0
    out = capsys.readouterr().out
    assert "50 test images" in out
    assert "DeepFool 'corrected'" in out
    assert "saturate in float32" in out


@pytest.mark.parametrize(("attack", "options"), [("deepfool", []), ("fgsm", ["--epsilon", "15", "--net", "reference"])])
def test_attack_keeps_what_it_found(finished, tmp_path, capsys, attack, options):
    out = tmp_path / "hits"
    assert main(["attack", str(finished), "--attack", attack, *options, "--out", str(out)]) == 0
    a = nn.load(out / "adversarial.npz")
    assert len(a["images"]) == 60
    delta = (a["adversarial"] - a["images"]).reshape(60, -1)
    norm = np.linalg.norm(delta, axis=1) if attack == "deepfool" else abs(delta).max(1)
    np.testing.assert_allclose(a["norms"], norm, rtol=1e-4)
    fooled = ((a["before"] == a["labels"]) & (a["after"] != a["labels"])).sum()
    assert re.search(rf"fooled +{fooled} \(", capsys.readouterr().out)
    pixels = a["images"] + a["mean"]
    assert (pixels.min(), pixels.max()) == pytest.approx((0, 255), abs=1e-3)
    assert (out / "adversarial.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_info_lists_every_name_that_commands_take(capsys):
    assert main(["info"]) == 0
    out = capsys.readouterr().out
    for name in (
        "digits",
        "mnist",
        "mlp",
        "lenet",
        "deepfool",
        "fgsm",
        "coded",
        "corrected",
        "demo",
        "numpy",
        "GPU",
        "Numba",
    ):
        assert name in out


@pytest.mark.parametrize("command", ["demo", "train", "evaluate", "attack", "info"])
def test_help_teaches_by_example(command, capsys):
    with pytest.raises(SystemExit) as stopped:
        main([command, "--help"])
    assert stopped.value.code == 0
    assert f"tinygrad2 {command}" in capsys.readouterr().out.split("example")[1]


def test_the_lenet_of_the_paper_has_its_published_accuracy(data_file, capsys):
    data_file("lenet-reference.npz"), data_file("mnist/t10k-images-idx3-ubyte.gz")
    argv = ["--model", "lenet", "--weights", "lenet-reference.npz", "--data", "mnist", "--n", "100"]
    assert main(["evaluate", *argv]) == 0
    assert re.search(r"^lenet +(99|100)\.00 %", capsys.readouterr().out, re.M)


# bad input

NAMES = [
    (["train", "--recipe", "dmo"], "unknown recipe 'dmo' (did you mean 'demo'?); known: deep-defense-lenet"),
    (
        ["train", "--set", "model.name=lennet"],
        "model.name: unknown value 'lennet' (did you mean 'lenet'?); known: mlp, lenet",
    ),
    (
        ["train", "--set", "data.name=mnits"],
        "data.name: unknown value 'mnits' (did you mean 'mnist'?); known: digits, mnist",
    ),
    (["train", "--set", "run.batchsize=3"], "unknown setting 'run.batchsize' (did you mean 'run.batch_size'?)"),
    (["train", "--set", "run.batch_size=0"], "run.batch_size: expected an integer of at least 1, got 0"),
    (["train", "--set", "run.batch_size=big"], "run.batch_size: expected an integer, got 'big'"),
    (["train", "--set", "data.upsample=28"], "load('mnist'): no option 'upsample'"),
    (["train", "missing.toml"], "no such configuration file: missing.toml"),
    (["train", "--resume"], "--resume needs the folder"),
    (["evaluate"], "give the folder of a run, or --model, --weights and --data; missing: --model, --weights, --data"),
    (["evaluate", "--model", "mlp"], "missing: --weights, --data"),
    (["evaluate", "no-such-run"], "no-such-run holds no run: there is no config.toml in it"),
    (["evaluate", "--model", "mlpp", "--weights", "w", "--data", "digits"], "'mlpp' (did you mean 'mlp'?)"),
    (
        ["attack", "--model", "mlp", "--weights", "w", "--data", "digts", "--attack", "deepfool"],
        "did you mean 'digits'?",
    ),
    (["evaluate", "--model", "mlp", "--weights", "w.npz", "--data", "digits"], "no such file of weights: w.npz"),
]


@pytest.mark.parametrize(("argv", "message"), NAMES)
def test_unknown_names_and_wrong_values_get_the_nearest_and_leave_nothing(error, tmp_path, monkeypatch, argv, message):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TINYGRAD2_DATA", raising=False)
    if "upsample" in message:
        argv = [*argv, "--set", "data.name=mnist"]
    assert message in error(*argv)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_attack_is_an_error_before_any_work(error, finished):
    assert "unknown attack 'deepfol' (did you mean 'deepfool'?); known" in error(
        "attack", finished, "--attack", "deepfol"
    )
    assert "the attack 'fgsm' needs --epsilon: largest size" in error("attack", finished, "--attack", "fgsm")
    line = error("attack", finished, "--attack", "deepfool", "--epsilon", "3")
    assert "the attack 'deepfool' takes no --epsilon; it takes --p, --box" in line
    for epsilon in ("-1", "nan", "inf"):
        assert "must be finite and not negative" in error(
            "attack", finished, "--attack", "fgsm", f"--epsilon={epsilon}"
        )
    assert not list(finished.glob("attack-*"))


def test_an_empty_or_too_large_set_of_images(error, finished):
    assert "n_test: expected 1 to 360, got 0" in error("evaluate", finished, "--n", "0")
    assert "n_test: expected 1 to 360, got 999" in error("evaluate", finished, "--n", "999")


def test_images_that_do_not_fit_the_network(error, tmp_path):
    message = error("train", "--set", "data.name=digits", "--set", "model.name=lenet", "--out", tmp_path / "run")
    assert "model 'lenet' does not take the images (1, 8, 8) of 'digits'" in message
    assert "layer" in message
    message = error("train", "--set", "data.name=digits", "--set", "model.name=lenet", "--set", "model.hidden=[3]")
    assert "model.hidden: the model 'lenet' has no hidden widths" in message
    assert not (tmp_path / "run").exists()


def test_a_device_that_is_not_there(error, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    from tinygrad2.kernels import why_no_gpu

    why_no_gpu.cache_clear()
    try:
        message = error(*TINY_TRAIN, "--set", "run.device=cuda", "--out", tmp_path / "run")
    finally:
        why_no_gpu.cache_clear()
    assert "pip install 'tinygrad2[cuda13]'" in message
    assert not (tmp_path / "run").exists()


def broken_weights(path: Path, kind: str, good: dict[str, np.ndarray]) -> None:
    """A file of weights with one thing wrong."""
    if kind == "garbage":
        path.write_bytes(b"not an archive")
    elif kind == "truncated":
        nn.save(path, good)
        path.write_bytes(path.read_bytes()[:-300])
    elif kind == "flipped":
        nn.save(path, good)
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    elif kind == "shape":
        nn.save(path, good | {"fc2.bias": np.zeros(11, np.float32)})
    elif kind == "dtype":
        nn.save(path, good | {"fc2.bias": np.zeros(10, np.float64)})
    elif kind == "missing":
        nn.save(path, {k: v for k, v in good.items() if k != "fc2.bias"})
    elif kind == "pickle":
        np.savez(path, a=np.array([{}], dtype=object), allow_pickle=True)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("garbage", "is not a readable .npz file"),
        ("truncated", "is not a readable .npz file"),
        ("flipped", "is not a readable .npz file"),
        ("pickle", "is not a readable .npz file"),
        ("shape", "fc2.bias: expected shape (10,), float32; the state has (11,), float32"),
        ("dtype", "fc2.bias: expected shape (10,), float32; the state has (10,), float64"),
        ("missing", "missing 'fc2.bias'"),
    ],
)
def test_weights_that_cannot_be_used_name_the_file_and_the_tensor(error, finished, tmp_path, kind, message):
    path = tmp_path / "weights.npz"
    broken_weights(path, kind, nn.load(finished / "reference.npz"))
    options = ["--set", "model.hidden=[12]"]
    line = error("evaluate", "--model", "mlp", "--weights", path, "--data", "digits", *options)
    assert str(path) in line
    assert message in line
    line = error(*TINY_TRAIN, "--set", f'reference.weights="{path.as_posix()}"', "--out", tmp_path / "run")
    assert message in line
    assert not (tmp_path / "run").exists()


def test_a_damaged_data_file_is_named(error, tmp_path, monkeypatch):
    folder = tmp_path / "data" / "mnist"
    folder.mkdir(parents=True)
    (folder / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(bytes(1000))[:-20])
    monkeypatch.setenv("TINYGRAD2_DATA", str(tmp_path / "data"))
    line = error("train", "--recipe", "deep-defense-mlp", "--out", tmp_path / "run")
    assert "train-images-idx3-ubyte.gz: expected 47,040,016 uncompressed bytes" in line
    assert not (tmp_path / "run").exists()
    monkeypatch.setenv("TINYGRAD2_DATA", str(tmp_path / "nowhere"))
    assert "which is not a folder" in error("train", "--recipe", "deep-defense-mlp", "--out", tmp_path / "run")


@pytest.mark.parametrize("content", [b"[run\nseed = 1", b"\xff\xfe"])
def test_a_configuration_that_is_not_toml(error, tmp_path, content):
    (tmp_path / "bad.toml").write_bytes(content)
    assert "bad.toml is not valid TOML" in error("train", tmp_path / "bad.toml", "--out", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_folder_that_holds_something_else(error, finished, tmp_path):
    assert "holds a run already; go on with it by --resume" in error(*TINY_TRAIN, "--out", finished)
    line = error(*TINY_TRAIN, "--set", "defense.c=3", "--out", finished, "--resume")
    assert "another configuration: defense.c is 25.0 there and 3.0 here" in line
    assert "holds no run" in error("train", "--out", tmp_path, "--resume")
    (tmp_path / "file").touch()
    assert "is a file, expected the folder of a run" in error(*TINY_TRAIN, "--out", tmp_path / "file")


def test_a_damaged_or_foreign_checkpoint_is_named(error, finished, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    content = (run / "checkpoint.npz").read_bytes()
    (run / "checkpoint.npz").write_bytes(content[:-200])
    assert "checkpoint.npz is not a readable .npz file" in error("train", "--out", run, "--resume")
    nn.save(run / "checkpoint.npz", nn.load(finished / "final.npz"))
    assert "checkpoint.npz is not a checkpoint of a run" in error("train", "--out", run, "--resume")
    arrays = nn.load(finished / "checkpoint.npz")
    nn.save(run / "checkpoint.npz", {k: v for k, v in arrays.items() if k != "net.fc1.bias"})
    line = error("train", "--out", run, "--resume")
    assert "checkpoint.npz does not fit this run" in line
    assert "missing 'fc1.bias'" in line


def test_an_unfinished_run_says_how_to_finish_it(error, finished, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    (run / "final.npz").unlink()
    assert f"the run is not finished; tinygrad2 train --out {run} --resume" in error("evaluate", run)


def test_a_loss_that_is_not_finite_is_one_line_with_advice(error, tmp_path, capsys):
    argv = [*TINY_TRAIN, "--set", "reference.optimizer=sgd", "--set", "reference.lr=1e30", "--out", tmp_path / "run"]
    assert main([str(arg) for arg in argv]) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert "epoch 1, step 2" in line
    assert "the output of layer" in line
    assert "Lower the learning rate (reference.lr, 1e+30 here)" in line
    assert not (tmp_path / "run" / "final.npz").exists()


def test_debug_shows_the_traceback(monkeypatch):
    monkeypatch.setenv("TINYGRAD2_DEBUG", "1")
    with pytest.raises(FileNotFoundError):
        main(["evaluate", "no-such-run"])


# in a second process


def process(*argv: object) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"}
    command = [sys.executable, "-m", "tinygrad2", *map(str, argv)]
    return subprocess.run(command, capture_output=True, encoding="utf-8", env=environment, timeout=120)


def test_python_m_tinygrad2_exits_with_2_and_no_traceback():
    done = process("train", "--set", "model.name=lennet")
    assert done.returncode == 2
    assert "did you mean 'lenet'?" in done.stderr
    assert "Traceback" not in done.stderr
    done = process("trian")
    assert done.returncode == 2
    assert "invalid choice: 'trian'" in done.stderr


@contextmanager
def ordinary_user() -> Iterator[None]:
    """Without root's right to write anywhere."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="needs the permissions of a POSIX system")
def test_a_read_only_folder_is_refused_and_stays_empty(error, finished):
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        folder = Path(name, "locked")
        folder.mkdir(mode=0o555)
        with ordinary_user():
            if not os.access(tinygrad2.__file__, os.R_OK, effective_ids=True):
                pytest.skip(f"{tinygrad2.__file__} can be read by root alone")
            for out in (folder, folder / "run"):
                line = error(*TINY_TRAIN, "--out", out)
                assert str(out) in line
                assert "choose another" in line
        assert list(folder.iterdir()) == []
