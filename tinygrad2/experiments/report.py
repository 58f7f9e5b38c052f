"""What a run achieved: the paper's table 1 as text, and result.json with all that is needed to trust or repeat it."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib import metadata
from typing import Any

from tinygrad2 import __version__, robust
from tinygrad2.data import Dataset
from tinygrad2.experiments import figures
from tinygrad2.experiments.config import Config, Eval, to_values
from tinygrad2.experiments.folder import Folder
from tinygrad2.experiments.progress import over_batches, say
from tinygrad2.experiments.subject import from_run
from tinygrad2.nn import Layer
from tinygrad2.robust import Robustness
from tinygrad2.robust.metrics.table import SHARES

LARGEST = 255.0  # where the search for ε_ref ends: the whole range of the pixels
PACKAGES = ("numpy", "numba", "cupy-cuda13x", "matplotlib", "tqdm", "scikit-learn")


@dataclass(frozen=True)
class Table:
    """Rows of table 1, all on the same n images and at the same ε_ref, that of the last network, in pixel units.

    epsilon_ref: None if no ε fools half of the images; then `fgs` is empty in every row
    motionless: of each network, the share of images that FGS cannot move, for the gradient is 0 in every pixel
    """

    epsilon_ref: float | None
    n: int
    settings: Eval
    rows: dict[str, Robustness]
    motionless: dict[str, float]

    def values(self) -> dict[str, Any]:
        """All of it, as JSON can hold it."""
        rows = {
            name: {
                "accuracy": r.accuracy,
                "rho2": r.rho2,
                "fgs": {f"{share:g}": a for share, a in r.fgs.items()},
                "zero_gradients": self.motionless[name],
            }
            for name, r in self.rows.items()
        }
        return {"rows": rows, "epsilon_ref": self.epsilon_ref, "test_images": self.n, "eval": asdict(self.settings)}

    def __str__(self) -> str:
        width = max(14, *map(len, self.rows))
        head = f"{'':{width}}  accuracy      ρ₂" + "".join(f"  {f'Acc@{share}':>8}" for share in SHARES)
        lines = [head, "─" * len(head)]
        for name, row in self.rows.items():
            fgs = "".join(f"  {100 * row.fgs[s]:6.2f} %" if row.fgs else f"  {'—':>8}" for s in SHARES)
            lines.append(f"{name:{width}}  {100 * row.accuracy:6.2f} %  {row.rho2:6.4f}{fgs}")
        whom = "the network" if len(self.rows) == 1 else "the network of the last row"
        half = f"no ε up to {LARGEST:g} fools {whom} on half of the images"
        if self.epsilon_ref is not None:
            half = f"half of the images fool {whom} at ε_ref = {self.epsilon_ref:.2f}"
        gradients = "gradients that saturate in float32" if self.settings.saturating else "exact gradients"
        lines += [
            f"Acc@s: accuracy under FGS with s·ε_ref; {half}",
            f"of 255, by {gradients}, not clipped. ρ₂: mean ‖Δ‖/‖x‖, DeepFool {self.settings.mode!r}, 5 iterations.",
            f"{self.n:,} test images.",
        ]
        lines += [
            f"{name}: FGS cannot move {100 * share:.2f} % of the images, whose gradient is 0 in float32: "
            "its columns make the network look more robust than it is."
            for name, share in self.motionless.items()
            if share > 0
        ]
        return "\n".join(lines)


def table(nets: Mapping[str, Layer], dataset: Dataset, settings: Eval) -> Table:
    """One row for each network; ε_ref is that of the last one (in the paper: the defended network)."""
    x, y = dataset.x_test, dataset.y_test
    fgs = {name: robust.FGS(net.eval(), x, y, saturating=settings.saturating) for name, net in nets.items()}
    found = list(fgs.values())[-1].epsilon_ref(LARGEST)
    epsilon_ref = found if found < float("inf") else None
    rows = {}
    for name in nets:
        progress = over_batches(f"rho2 of {name}")
        rows[name] = robust.table_row(fgs[name], epsilon_ref, mode=settings.mode, progress=progress)
    motionless = {name: float((f.directions == 0).reshape(len(x), -1).all(1).mean()) for name, f in fgs.items()}
    return Table(epsilon_ref, len(x), settings, rows, motionless)


def finish(config: Config, out: str | os.PathLike[str], seconds: Mapping[str, float]) -> Table:
    """Measure the networks of a trained run, and write result.json and, where they can be drawn, the figures."""
    folder, subject = Folder(out), from_run(out)
    measured = table(subject.nets, subject.dataset, config.eval)
    folder.write_json("result.json", result(config, measured, seconds))
    try:
        figures.require()
    except ModuleNotFoundError as reason:
        say(f"no figures: {reason}")
        return measured
    figures.curves(folder.metrics(), folder / "curves.png")
    figures.perturbations(subject.nets, subject.dataset, folder / "perturbations.png", config.eval.mode)
    return measured


def result(config: Config, table: Table, seconds: Mapping[str, float]) -> dict[str, Any]:
    """What result.json holds. seconds: wall time of each phase."""
    return {
        **table.values(),
        "seed": config.run.seed,
        "config": to_values(config),
        "seconds": {name: round(s, 1) for name, s in seconds.items()},
        "peak_memory_mib": peak_memory_mib(),
        "versions": versions(),
    }


def versions() -> dict[str, str]:
    """Of Python, this package and the packages that it uses, where they are installed."""
    found = {"python": platform.python_version(), "platform": platform.platform(), "tinygrad2": __version__}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found | {"cores": str(os.cpu_count())}


def peak_memory_mib() -> float | None:
    """The most memory that this process has had, in MiB; None on Windows, where Python does not tell."""
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1)  # bytes on macOS, KiB elsewhere
