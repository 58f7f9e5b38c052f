"""Faults of runs and files that readers found, a group of tests for each: several members of its kind.

The numbers are those of the list of faults that the project keeps; 19 and 20 are in test_brought.py, test_fit.py and
test_run_page.py.
"""

from __future__ import annotations

import errno
import json
import math
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tinygrad2 import data, nn, robust
from tinygrad2 import experiments as ex
from tinygrad2.cli import main
from tinygrad2.experiments import config as c
from tinygrad2.experiments import folder as folder_module
from tinygrad2.experiments.fields import TYPES
from tinygrad2.experiments.interrupts import stop_requests
from tinygrad2.ops.losses import check_labels

TINY = [
    *("data.name=digits", "data.n_train=100", "data.n_test=40", "model.hidden=[8]", "eval.n_curve=0"),
    *("reference.epochs=2", "defense.epochs=1", "run.checkpoint_every=1", "run.batch_size=50"),
]
TRAIN = ["train", *(part for setting in TINY for part in ("--set", setting))]
Error = Callable[..., str]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("faults") / "run"
    assert main([*TRAIN, "--out", str(out)]) == 0
    return out


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A copy of a finished run, to be damaged."""
    return Path(shutil.copytree(finished, tmp_path / "run"))


# --- 12: the journal


@pytest.mark.parametrize("left", [0.0, 0.3, 0.7])
def test_12_a_journal_that_lost_its_end_is_not_padded(
    run: Path, left: float, capsys: pytest.CaptureFixture[str]
) -> None:
    journal = run / "metrics.jsonl"
    whole = journal.read_bytes()
    journal.write_bytes(whole[: int(left * len(whole))])
    assert main(["train", "--out", str(run), "--resume"]) == 0
    assert b"\0" not in journal.read_bytes()
    assert whole.startswith(journal.read_bytes())
    assert "metrics.jsonl has lost" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b'"kind"', b'"kinds"', "'kind' is missing, expected a string"),
        (b'"accuracy"', b'"accurate"', "'accuracy' is missing, expected a number"),
        (b'"epoch": 0', b'"epoch": "0"', "'epoch' is \"0\", expected a number"),
        (b'{"kind', b'\0\0\0{"kind', "it is not JSON"),
        (b'{"kind', b'["kind', "it is not JSON"),
        (b'"phase"', b'"phase\xff"', "'phase' is missing"),
    ],
)
def test_12_a_damaged_line_is_named_with_its_number(
    run: Path, error: Error, old: bytes, new: bytes, message: str
) -> None:
    journal = run / "metrics.jsonl"
    journal.write_bytes(journal.read_bytes().replace(old, new, 1))
    with pytest.raises(ValueError, match=r"metrics\.jsonl, line \d+ is damaged.*remove the line") as caught:
        ex.Folder(run).metrics()
    assert message in str(caught.value)


def test_12_lines_are_on_the_disk_before_the_checkpoint_that_counts_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    settle = folder_module.Journal.settle
    save = ex.Folder.save_state
    monkeypatch.setattr(folder_module.Journal, "settle", lambda self: (order.append("lines"), settle(self))[1])
    monkeypatch.setattr(ex.Folder, "save_state", lambda *args: (order.append("checkpoint"), save(*args))[1])
    synced: list[int] = []
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda number: (synced.append(number), fsync(number))[1])
    ex.train(ex.resolve(sets=TINY), tmp_path / "run")
    assert order == ["lines", "checkpoint"] * (len(order) // 2)
    assert len(order) > 6
    assert len(synced) > len(order)  # each line of `order` is one, and so are the networks and config.toml


# --- 13: JSON

DAMAGE = {
    "cut": lambda text: text[: len(text) // 2],
    "empty": lambda text: b"",
    "zeros": lambda text: bytes(len(text)),
    "a list": lambda text: b"[1, 2]",
    "another object": lambda text: b'{"rows": 3, "attack": 3}',
    "no text": lambda text: b"\xff\xfe" + text,
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_13_a_damaged_result_is_named_with_advice(run: Path, error: Error, damage: str) -> None:
    path = run / "result.json"
    path.write_bytes(DAMAGE[damage](path.read_bytes()))
    line = error("compare", run)
    assert line.startswith(f"{path} is damaged: ")
    assert line.endswith(f"write it anew: tinygrad2 train --out {run} --resume")


@pytest.mark.parametrize("key", ["accuracy", "rho2", "under"])
def test_13_a_row_of_a_result_without_a_key_is_named(run: Path, error: Error, key: str) -> None:
    path = run / "result.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    del content["rows"]["Reference"][key]
    path.write_text(json.dumps(content), encoding="utf-8")
    assert f"{path}, row 'Reference' is damaged: {key!r} is missing" in error("compare", run)


@pytest.mark.parametrize("damage", DAMAGE)
def test_13_a_damaged_record_of_an_attack_is_named_with_advice(
    finished: Path, tmp_path: Path, error: Error, damage: str
) -> None:
    out = tmp_path / "hits"
    argv = ["attack", finished, "--attack", "fgsm", "--epsilon", "9", "--out", out]
    assert main(list(map(str, argv))) == 0
    (out / "adversarial.npz").unlink()
    record = out / "attack.json"
    record.write_bytes(DAMAGE[damage](record.read_bytes()))
    assert error(*argv, "--resume").startswith(f"{record} is damaged: ")


def test_13_a_batch_of_an_attack_without_an_array_is_named(finished: Path, tmp_path: Path, error: Error) -> None:
    out = tmp_path / "hits"
    argv = ["attack", finished, "--attack", "fgsm", "--epsilon", "9", "--batch-size", "20", "--out", out]
    assert main(list(map(str, argv))) == 0
    (out / "adversarial.npz").unlink()
    nn.save(out / "part-00000.npz", {"norms": np.zeros(20)})
    assert "part-00000.npz is damaged: it holds no adversarial; delete it" in error(*argv, "--resume")


def test_13_a_damaged_checkpoints_words_are_named(run: Path, error: Error) -> None:
    arrays = nn.load(run / "checkpoint.npz")
    for text in ("{", "[]", '{"phase": "two"}'):
        nn.save(run / "checkpoint.npz", {**arrays, "scalars": np.asarray(text)})
        line = error("train", "--out", run, "--resume")
        assert f"{run / 'checkpoint.npz'} is damaged: " in line
        assert "start the run again" in line


def test_13_a_wrong_setting_in_a_file_is_named_with_the_file(run: Path, error: Error) -> None:
    path = run / "config.toml"
    text = path.read_text(encoding="utf-8")
    for old, new, message in (
        ("batch_size", "batchsize", "unknown setting 'run.batchsize' (did you mean 'run.batch_size'?)"),
        ("batch_size = 50", 'batch_size = "big"', "run.batch_size: expected an integer, got 'big'"),
    ):
        path.write_text(text.replace(old, new), encoding="utf-8")
        assert error("evaluate", run).startswith(f"{path}: {message}")


# --- 14: a network that gets nothing right


def wrong_network(run: Path) -> None:
    """Both networks answer a class that no test image has."""
    dataset = data.load("digits").subset(100, 40)
    missing = next(k for k in range(10) if k not in dataset.y_test[:3])
    for name in ("reference.npz", "final.npz"):
        arrays = nn.load(run / name)
        bias = np.full(10, -1e9, np.float32)
        bias[missing] = 1e9
        nn.save(run / name, {**arrays, "fc2.bias": bias})


def test_14_a_network_that_is_always_wrong_gets_its_table(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong_network(run)
    config = run / "config.toml"
    config.write_text(config.read_text(encoding="utf-8").replace("n_test = 40", "n_test = 3"), encoding="utf-8")
    trained = ex.from_run(run)
    (run / "perturbations.png").unlink()
    table = ex.finish(trained.config, run, {}, trained.dataset)
    assert [row.accuracy for row in table.rows.values()] == [0.0, 0.0]
    assert "no perturbations.png: no test image of 'digits' is classified correctly" in capsys.readouterr().err
    assert (run / "result.json").exists()
    assert not (run / "perturbations.png").exists()


def test_14_such_a_network_can_be_attacked(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong_network(run)
    argv = ["attack", str(run), "--attack", "fgsm", "--epsilon", "9", "--n", "3", "--out", str(run / "hits")]
    assert main(argv) == 0
    out, err = capsys.readouterr()
    assert "0 of 3 images were classified correctly" in out
    assert "accuracy left: 0.00 %" in out
    assert "no adversarial.png" in err


# --- 15: files that are gone or edited, settings out of bounds


def test_15_a_final_network_that_was_removed_comes_back_from_the_checkpoint(run: Path) -> None:
    whole = (run / "final.npz").read_bytes()
    (run / "final.npz").unlink()
    assert main(["train", "--out", str(run), "--resume"]) == 0
    assert (run / "final.npz").read_bytes() == whole


def test_15_a_reference_network_that_was_removed_gets_advice_that_helps(run: Path, error: Error) -> None:
    (run / "reference.npz").unlink()
    line = error("train", "--out", run, "--resume")
    assert "reference.npz is gone, and no other file has it; start the run again" in line


@pytest.mark.parametrize(("old", "new"), [("lam = 15.0", "lam = 3.0"), ("seed = 0", "seed = 1"), ("c = 25.0", "c = 2")])
def test_15_an_edited_configuration_is_refused_at_resume(run: Path, error: Error, old: str, new: str) -> None:
    path = run / "config.toml"
    path.write_text(path.read_text(encoding="utf-8").replace(old, new, 1), encoding="utf-8")
    line = error("train", "--out", run, "--resume")
    assert f"{run}: the run began in another way: " in line
    key, _, value = old.partition(" = ")
    assert f".{key} is {value} there and " in line


OUTSIDE = [
    ("parseval.share=7", "expected a number of at least 0 and at most 1, got 7.0"),
    ("adversarial.share=1.5", "at most 1, got 1.5"),
    ("smooth.rate=nan", "expected a number that is finite, got nan"),
    ("smooth.rate=-inf", "got -inf"),
    ("model.dropout=1", "at least 0 and below 1, got 1.0"),
    ("reference.momentum=1", "below 1, got 1.0"),
    ("defense.label_smoothing=1.2", "below 1, got 1.2"),
    ("run.seed=-1", "at least 0"),
    ("run.seed=9999999999999999999", "at most 9223372036854775807"),
    ("defense.lam=1" + 400 * "0", "got inf"),
    ("eval.epsilons=[0.1, nan]", "got nan"),
]


@pytest.mark.parametrize(("assignment", "message"), OUTSIDE)
def test_15_a_setting_outside_its_bounds_is_refused(assignment: str, message: str) -> None:
    with pytest.raises(ValueError, match=assignment.partition("=")[0]) as caught:
        c.resolve(sets=[assignment])
    assert message in str(caught.value)


def test_15_no_number_may_be_nan_or_infinite() -> None:
    numbers = [field for field in c.FIELDS.values() if field.kind is float]
    assert len(numbers) > 20
    for field in numbers:
        for value in (math.nan, math.inf, -math.inf):
            with pytest.raises(ValueError, match=f"{field.key}: expected {TYPES[float]}"):
                field.checked([value] if field.many else value)


@pytest.mark.parametrize(
    ("flag", "value"), [("--probe", "-1"), ("--seed", "-1"), ("--batch-size", "0"), ("--batch-size", "-3")]
)
def test_15_an_option_outside_its_bounds_is_refused(run: Path, error: Error, flag: str, value: str) -> None:
    line = error("attack", run, "--attack", "fgsm", "--epsilon", "9", f"{flag}={value}")
    assert "expected at least " in line
    assert f"got {value}" in line
    assert not (run / "attack-fgsm").exists()


# --- 16: the disk


@pytest.mark.parametrize(
    ("number", "advice"),
    [(errno.ENOSPC, "the disk is full: make room"), (errno.EROFS, "choose another folder"), (errno.EIO, "")],
)
@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_16_an_error_of_the_disk_names_the_file_and_what_to_do(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    number: int,
    advice: str,
    step: str,
) -> None:
    def fail(*args: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, step, fail)
    assert main([*TRAIN, "--out", str(tmp_path / "run")]) == 2
    monkeypatch.undo()
    line = capsys.readouterr().err.splitlines()[-1]
    assert f"error: cannot write {tmp_path / 'run'}" in line
    assert os.strerror(number) in line
    assert advice in line
    assert "Errno" not in line


@pytest.mark.parametrize("place", ["mkdir", "open"])
def test_16_a_read_only_file_system_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Error, place: str
) -> None:
    usual = getattr(Path, place)

    def fail(path: Path, mode: object = "w", *args: object, **options: object) -> object:
        if mode == "r" or mode == "rb":
            return usual(path, mode, *args, **options)
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(Path, place, fail)
    line = error(*TRAIN, "--out", tmp_path / "run")
    assert f"cannot write {tmp_path / 'run'}" in line
    assert "nothing can be written to this disk: choose another folder" in line


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full: Linux")
def test_16_a_journal_on_a_full_disk_is_named(tmp_path: Path) -> None:
    journal = folder_module.Journal(tmp_path / "metrics.jsonl", 0)
    journal.file.close()
    journal.file = Path("/dev/full").open("ab")  # noqa: SIM115 (the journal closes it)
    for use in (lambda: journal.write(kind="epoch"), lambda: journal.__exit__(None, None, None)):
        with pytest.raises(OSError, match=r"cannot write .*metrics\.jsonl: .*the disk is full"):
            use()


@pytest.mark.parametrize(
    "misspelt", ["train-images.idx3-ubyte.gz", "train-images-idx3-ubyte.gzip", "train_images_idx3_ubyte"]
)
def test_16_a_misnamed_file_is_not_a_reason_to_go_online(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, misspelt: str
) -> None:
    module = sys.modules["tinygrad2.data.mnist"]
    monkeypatch.setattr(module, "_download", lambda *args: pytest.fail("it went online"))
    (tmp_path / "mnist").mkdir()
    (tmp_path / "mnist" / misspelt).write_bytes(b"")
    monkeypatch.setenv("TINYGRAD2_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError) as caught:
        data.load("mnist")
    assert f"neither train-images-idx3-ubyte.gz nor train-images-idx3-ubyte in {tmp_path / 'mnist'}" in str(
        caught.value
    )
    assert f"is {misspelt!r} misnamed?" in str(caught.value)


# --- 17: signals


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals that a shell ignores for a job")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_17_an_ignored_signal_stays_ignored(number: signal.Signals) -> None:
    usual = signal.signal(number, signal.SIG_IGN)
    try:
        with stop_requests() as stop:
            assert signal.getsignal(number) == signal.SIG_IGN
            os.kill(os.getpid(), number)
        assert stop == []
        assert signal.getsignal(number) == signal.SIG_IGN
    finally:
        signal.signal(number, usual)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals that a shell ignores for a job")
def test_17_a_job_in_the_background_trains_to_its_end(tmp_path: Path) -> None:
    """As a shell without job control starts it: SIGINT is ignored from the first instruction on."""
    code = (
        "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_IGN);"
        "from tinygrad2 import cli; from tinygrad2.experiments import training as t;"
        "step = t._Training._step;"
        "t._Training._step = lambda *a: (os.kill(os.getpid(), signal.SIGINT), step(*a))[1];"
        "sys.exit(cli.main(sys.argv[1:]))"
    )
    out = tmp_path / "run"
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1]), "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(
        [sys.executable, "-c", code, *TRAIN, "--out", str(out)], capture_output=True, env=environment, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert (out / "final.npz").exists()


# --- 18: messages


@pytest.mark.parametrize("shape", [(3, 1, 2, 2), (3,), ()])
def test_18_what_is_no_matrix_of_logits_is_named_by_its_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"expected logits \(N, K\)") as caught:
        check_labels([0, 0, 0], *shape)
    assert str(shape) in str(caught.value)


@pytest.mark.parametrize("name", ["fgsm", "pgd", "deepfool", "cw_l2"])
@pytest.mark.parametrize(
    "net", [nn.Identity(), nn.Sequential(nn.Flatten(), nn.Linear(4, 1, rng=0))], ids=["rank 4", "one"]
)
def test_18_an_attack_on_such_a_network_says_so(name: str, net: nn.Layer) -> None:
    attack = robust.ATTACKS[name]
    options = {"epsilon": 0.1} if "epsilon" in attack.options else {}
    with pytest.raises(ValueError, match=r"logits \(N, K\)"):
        attack.run(net, np.ones((2, 1, 2, 2), np.float32), [0, 0], **options)


def test_18_labels_that_are_none_are_named() -> None:
    with pytest.raises(ValueError, match="labels: expected 2 integers, one per sample; got None"):
        check_labels(None, 2, 3)


@pytest.mark.parametrize("high", [1.0, 0.5, 255.0])
def test_18_a_pixel_just_outside_the_box_is_printed_in_full(high: float) -> None:
    value = np.nextafter(np.float32(high), np.float32(1e9))
    with pytest.raises(ValueError, match=r"expected pixels in") as caught:
        data.check_images(np.array([[value]]), box=(0.0, high))
    shown = str(caught.value).partition("got ")[2].partition(" in image")[0]
    assert np.float32(shown) == value
