"""`compare` puts finished runs side by side, and says what seeds allow to be said; `list` explains every name."""

from __future__ import annotations

import json
import re
import shutil

import numpy as np
import pytest
from scipy import stats

from tinygrad2 import experiments as ex
from tinygrad2 import robust
from tinygrad2.cli import main

SETTINGS = [
    "data.name=digits", "data.n_train=150", "data.n_test=60", "data.pixels=unit", "model.hidden=[12]",
    "reference.epochs=3", "reference.lr=0.01", "defense.epochs=1", "defense.optimizer=adam", "eval.n_curve=0",
    "eval.epsilons=[0.1]",
]  # fmt: skip
SEEDS = (0, 1, 2)


def train(out, defense, *sets):
    settings = [part for s in [*SETTINGS, *sets] for part in ("--set", s)]
    assert main(["train", "--defense", defense, *settings, "--out", str(out)]) == 0
    return out


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Folders of two defenses with three seeds each, and of one that has another weight and one seed."""
    at = tmp_path_factory.mktemp("compared")
    found = {(d, s): train(at / f"{d}-{s}", d, f"run.seed={s}") for d in ("none", "jacobian_l1") for s in SEEDS}
    return found | {"stronger": train(at / "stronger", "jacobian_l1", "penalty.lam=30", "run.log_every=7")}


def measured(run, title=None):
    rows = json.loads((run / "result.json").read_text(encoding="utf-8"))["rows"]
    return rows[title] if title else list(rows.values())[-1]


def test_seeds_are_one_row_of_means_and_deviations(runs, capsys):
    assert main(["compare", *(str(runs[d, s]) for d in ("jacobian_l1", "none") for s in SEEDS)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [re.split(r"\s{2,}", line)[0] for line in lines[2:5]] == ["Reference", "no defense", "jacobian_l1"]
    for line, defense in zip(lines[3:5], ("none", "jacobian_l1"), strict=True):
        rows = [measured(runs[defense, s]) for s in SEEDS]
        accuracy = 100 * np.array([r["accuracy"] for r in rows])
        rho = np.array([r["rho2"] for r in rows])
        fgsm = 100 * np.array([r["under"]["fgsm"]["0.1"] for r in rows])
        assert f"{accuracy.mean():.2f} ± {accuracy.std(ddof=1):.2f}" in line
        assert f"{rho.mean():.4f} ± {rho.std(ddof=1):.4f}" in line
        assert f"{fgsm.mean():.2f} ± {fgsm.std(ddof=1):.2f}" in line
        assert re.split(r"\s{2,}", line)[1] == "3"


def test_a_reference_that_runs_share_counts_once(runs):
    found = ex.compare([runs["none", 0], runs["jacobian_l1", 0], runs["jacobian_l1", 1]])
    assert {row: sorted(seeds) for row, seeds in found.rows.items()} == {
        "Reference": [0, 1],
        "no defense": [0],
        "jacobian_l1": [0, 1],
    }
    assert found.rows["Reference"][0]["ρ₂"] == measured(runs["none", 0], "Reference")["rho2"]


def test_references_from_files_are_one_row_whatever_their_paths(runs, tmp_path):
    weights = [f"reference.weights='{(runs['none', s] / 'reference.npz').as_posix()}'" for s in (0, 1)]
    made = [train(tmp_path / str(s), "none", w, f"run.seed={s}") for s, w in enumerate(weights)]
    found = ex.compare(made)
    assert {row: sorted(seeds) for row, seeds in found.rows.items()} == {"Reference": [0, 1], "no defense": [0, 1]}
    assert found.rows["Reference"][1]["ρ₂"] == measured(runs["none", 1], "Reference")["rho2"]
    other = train(tmp_path / "other", "jacobian_l1", weights[1])  # seed 0 again, but another network
    with pytest.raises(ValueError, match="same settings, same seed 0"):
        ex.compare([made[0], other])


def test_paired_seeds_are_tested_against_the_first_row(runs):
    found = ex.compare([runs[d, s] for d in ("none", "jacobian_l1") for s in SEEDS])
    a, b = (np.array([found.rows[row][s]["ρ₂"] for s in SEEDS]) for row in ("Reference", "jacobian_l1"))
    p = stats.wilcoxon(b, a).pvalue
    (line,) = [line for line in found.tests() if line.startswith("jacobian_l1 against Reference")]
    assert f"ρ₂ p = {p:.2g}" in line
    assert "3 pairs: p cannot be below 0.25" in line
    assert ex.compare([runs["none", 0], runs["jacobian_l1", 0]]).tests() == []  # one pair says nothing


def test_rows_of_one_defense_say_in_which_setting_they_differ(runs):
    found = ex.compare([runs["jacobian_l1", 0], runs["stronger"]])  # how often it is logged does not matter
    assert list(found.rows) == ["Reference", "jacobian_l1 penalty.lam=1.0", "jacobian_l1 penalty.lam=30.0"]


def test_markdown_is_a_table(runs, capsys):
    assert main(["compare", str(runs["none", 0]), str(runs["jacobian_l1", 0]), "--markdown"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "|  | seeds | accuracy % | ρ₂ | fgsm 0.1 % |"
    assert lines[1] == "| --- | ---: | ---: | ---: | ---: |"
    assert [line.split(" | ")[0] for line in lines[2:5]] == ["| Reference", "| no defense", "| jacobian_l1"]
    assert {line.count("|") for line in lines[:5]} == {6}


def test_the_table_and_its_picture_can_be_kept(runs, tmp_path, capsys):
    out = tmp_path / "new" / "first"
    assert main(["compare", str(runs["none", 0]), str(runs["stronger"]), "--out", str(out)]) == 0
    assert f"written: {out}.md, {out}.png" in capsys.readouterr().out
    assert out.with_suffix(".md").read_text(encoding="utf-8").startswith("|  | seeds | accuracy % |")
    assert out.with_suffix(".png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert len([*out.parent.iterdir()]) == 2


def test_what_cannot_be_compared_is_refused(runs, tmp_path, error):
    one = runs["none", 0]
    assert f"{one} and {one} are the same run" in error("compare", one, one)
    assert "no-such-run holds no run" in error("compare", one, tmp_path / "no-such-run")
    other = train(tmp_path / "other", "none", "eval.max_iter=7")
    assert "measured in different ways: eval.max_iter is 5 there and 7 here" in error("compare", one, other)
    shutil.copytree(one, tmp_path / "unfinished")
    (tmp_path / "unfinished" / "result.json").unlink()
    assert "holds no result.json" in error("compare", one, tmp_path / "unfinished")


def test_a_run_that_has_only_a_reference_can_be_compared(tmp_path, runs):
    alone = train(tmp_path / "alone", "none", "defense.epochs=0", "run.seed=7")
    assert list(ex.compare([alone, runs["none", 0]]).rows) == ["Reference", "no defense"]


# list


def test_list_explains_every_name(capsys):
    assert main(["list"]) == 0
    out = capsys.readouterr().out
    for name in [*robust.PENALTIES, *robust.DEFENSES, *ex.recipes(), "deepfool", "lenet", "wame", "plateau", "mnist"]:
        assert re.search(rf"^  {re.escape(name)} +\S.{{10,}}$", out, re.M), name
    titles = re.findall(r"^(\w.*)$", out, re.M)
    assert titles == [
        "attacks", "penalties", "defenses", "metrics", "models", "optimizers", "schedules", "data sets", "recipes",
    ]  # fmt: skip


def test_list_takes_one_kind_and_suggests_the_nearest(capsys, error):
    assert main(["list", "defenses"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("defenses\n  none ")
    assert "attacks" not in out.splitlines()
    assert "unknown kind 'penaltys' (did you mean 'penalties'?); known: attacks, penalties" in error("list", "penaltys")


def test_the_settings_say_what_they_mean_and_what_they_can_be(capsys):
    assert main(["list", "settings"]) == 0
    listed = capsys.readouterr().out
    assert re.search(r"^  run.batch_size +images in a step \[integer ≥ 1; default 100\]$", listed, re.M)
    assert re.search(r"^  run.device +.*\[cpu \| cuda; default \"cpu\"\]$", listed, re.M)
    assert re.search(r"^  model.hidden +.*\[list of: integer ≥ 1; not set\]$", listed, re.M)
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    assert listed.rstrip() in capsys.readouterr().out
