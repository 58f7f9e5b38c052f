"""The page of a run, the figures that compare runs, and small things of the command line; fault 20 of the list."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad2 as tg
from tinygrad2 import data, nn, robust
from tinygrad2 import experiments as ex
from tinygrad2.cli import main
from tinygrad2.experiments import figures, page

SETS = [
    *("data.name=digits", "data.n_train=150", "data.n_test=60", "data.pixels=unit", "model.hidden=[12]"),
    *("reference.epochs=3", "reference.lr=0.01", "defense.epochs=1", "eval.n_curve=0", "eval.epsilons=[0.05, 0.1]"),
    *('eval.attacks=["fgsm", "bim"]', "eval.steps=2"),
]
TRAIN = ["train", "--defense", "jacobian_l1", *(part for s in SETS for part in ("--set", s))]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two seeds; the first is attacked."""
    at = tmp_path_factory.mktemp("page")
    found = [at / f"run-{seed}" for seed in range(2)]
    for seed, out in enumerate(found):
        assert main([*TRAIN, "--seed", str(seed), "--out", str(out)]) == 0
    assert main(["attack", str(found[0]), "--attack", "bim", "--epsilon", "0.1", "--probe", "20"]) == 0
    return found


class Reader(HTMLParser):
    """The tags, their links and the text of a page; and whether every tag is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.tags: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_holds_the_whole_run_and_nothing_from_elsewhere(
    runs: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", str(runs[0])]) == 0
    path = runs[0] / "report.html"
    assert capsys.readouterr().out == f"written: {path}\n"
    text = path.read_text(encoding="utf-8")
    read = Reader(text)
    assert read.open == []
    assert len(read.links) == 4  # curves, accuracy over ε, perturbations, the attack
    assert all(link.startswith("data:image/png;base64,iVBOR") for link in read.links)
    assert not {"script", "link", "iframe"} & set(read.tags)
    assert "url(" not in text and "http" not in read.text.replace("https://", "")
    row = ex.Folder(runs[0]).result()["rows"]["jacobian_l1"]
    for shown in (f"{100 * row['accuracy']:.2f} %", f"{row['rho2']:.4f}", "fgsm 0.05", "bim 0.1"):
        assert shown in read.text
    assert "diagnostic: gradient exactly 0" in read.text
    assert "probe " in read.text
    assert f"numpy{np.__version__}" in read.text
    for key, value in (("run.seed", "0"), ("penalty.name", '"jacobian_l1"'), ("eval.epsilons", "[0.05, 0.1]")):
        assert f"{key}{value}" in read.text


def test_the_page_can_be_written_elsewhere(runs: list[Path], tmp_path: Path, error: Callable[..., str]) -> None:
    assert main(["report", str(runs[1]), "--out", str(tmp_path / "page.html")]) == 0
    assert (tmp_path / "page.html").read_bytes().startswith(b"<!doctype html>")
    assert "there is no folder" in error("report", runs[1], "--out", tmp_path / "none" / "page.html")
    assert "holds no run" in error("report", tmp_path)


def test_names_are_escaped(runs: list[Path], tmp_path: Path) -> None:
    evil = "<script>alert('1')</script> & \"x\""
    run = Path(shutil.copytree(runs[0], tmp_path / "run"))
    result = json.loads((run / "result.json").read_text(encoding="utf-8"))
    result["rows"] = {evil: result["rows"]["Reference"]}
    result["notes"] = [evil]
    result["brought"] = {evil: evil}
    result["versions"] = {evil: evil}
    result["config"]["data.name"] = evil
    result["config"][evil] = evil
    (run / "result.json").write_text(json.dumps(result), encoding="utf-8")
    (run / "attack-bim").rename(run / "attack <b> & 'x'")
    read = Reader(page.page(ex.Folder(run)))
    assert read.open == []
    assert not {"script", "b"} & set(read.tags)
    assert read.text.count("<script>") >= 6
    assert "attack <b> & 'x'" in read.text


def test_accuracy_over_epsilon_is_that_of_the_table(runs: list[Path]) -> None:
    under = ex.compare(runs).under()
    assert list(under) == ["fgsm", "bim"]
    for attack, rows in under.items():
        for name, at in rows.items():
            assert list(at) == [0.0, 0.05, 0.1]
            measured = [ex.Folder(run).result()["rows"][name] for run in runs]
            assert at[0.0] == [100 * row["accuracy"] for row in measured]
            assert at[0.1] == [100 * row["under"][attack]["0.1"] for row in measured]


def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The figures that are written from now on."""
    found: list[Any] = []
    write = figures._write
    monkeypatch.setattr(figures, "_write", lambda figure, path: (found.append(figure), write(figure, path))[1])
    return found


def test_compare_draws_what_differs(runs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = drawn(monkeypatch)
    assert main(["compare", *map(str, runs), "--out", str(tmp_path / "table")]) == 0
    titles = {ax.get_title(): ax for ax in found[0].axes}
    assert list(titles)[2:] == ["under fgsm", "under bim"]
    values = [
        100 * ex.Folder(run).result()["rows"][name]["accuracy"] for run in runs for name in ("Reference", "jacobian_l1")
    ]
    low, high = titles[next(iter(titles))].get_xlim()
    assert low > min(values) - 0.5 * (max(values) - min(values)) - 1e-9  # not from 0
    assert high < max(values) + 0.5 * (max(values) - min(values)) + 1e-9
    for name in ("under fgsm", "under bim"):
        legend = [text.get_text() for text in titles[name].get_legend().get_texts()]
        assert legend == ["Reference", "jacobian_l1"]
        assert (titles[name].get_xlabel(), titles[name].get_ylabel()) == (
            "ε, l∞ size of the perturbation",
            "accuracy, %",
        )


@pytest.mark.parametrize("channels", [1, 3])
def test_red_and_blue_have_a_legend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, channels: int) -> None:
    found = drawn(monkeypatch)
    rng = np.random.default_rng(0)
    x = rng.random((4, channels, 5, 5)).astype(np.float32)
    y = np.array([0, 1, 0, 1])
    dataset = data.Dataset("noise", x, y, x, y, ("a", "b"), box=(0, 1))
    net = nn.Sequential(nn.Flatten(), nn.Linear(25 * channels, 2, rng=0))
    figures.grid(dataset, x, y, {"net": (x + 0.1, ["a"] * 4)}, {"net": net}, tmp_path / "grid.png")
    words = [ax.get_xlabel() for ax in found[0].axes] + [found[0].get_supxlabel()]
    expected = "blue makes a pixel darker, red brighter" if channels == 1 else "mid-grey means unchanged"
    assert any(expected in text and "orange where it is wrong" in text for text in words)
    if channels == 1:
        assert found[0].axes[-1].get_xlim() == pytest.approx((-0.1, 0.1), rel=1e-3)
        shown = found[0].axes[0].images[0].get_array()
        np.testing.assert_allclose(shown, 255 * x[0, 0], rtol=1e-5)


def test_version_and_seed(runs: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["--version"])
    assert stopped.value.code == 0
    assert capsys.readouterr().out == f"tinygrad2 {tg.__version__}\n"
    assert [ex.Folder(run).config().run.seed for run in runs] == [0, 1]
    a, b = (nn.load(run / "final.npz") for run in runs)
    assert any((a[name] != b[name]).any() for name in a)


def test_an_attack_result_prints_no_pixels() -> None:
    x = np.random.default_rng(0).random((50, 1, 8, 8)).astype(np.float32)
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 10, rng=0))
    shown = repr(robust.fgsm(net, x, np.zeros(50, int), 0.1))
    assert len(shown) < 1500
    assert re.search(r"\d+ of 50", shown)
