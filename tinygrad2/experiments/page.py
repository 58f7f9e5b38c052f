"""A run as one HTML page: settings, curves, table, pictures and diagnostics. Nothing in it comes from elsewhere."""

from __future__ import annotations

import base64
import html
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tinygrad2 import nn
from tinygrad2.experiments.attack_report import RESULT
from tinygrad2.experiments.config import FIELDS, flatten
from tinygrad2.experiments.fields import toml
from tinygrad2.experiments.folder import Folder, write_text
from tinygrad2.experiments.trained import title_of

PICTURES = {
    "curves.png": ("Training", "Accuracy and ρ₂ on the test images after each epoch."),
    "epsilons.png": ("Accuracy over ε", "Accuracy under each attack, over the size of the perturbation."),
    "perturbations.png": ("Perturbations", "What DeepFool needs to fool each network about one image of each class."),
}
STYLE = """
:root { color-scheme: light dark; --soft: #666; --line: #ccc; --card: #f6f7f9; }
@media (prefers-color-scheme: dark) { :root { --soft: #aaa; --line: #444; --card: #20242a; } }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1, h2 { line-height: 1.2; } h2 { margin-top: 2.5rem; border-bottom: 1px solid var(--line); }
table { border-collapse: collapse; } .wide { overflow-x: auto; }
th, td { padding: .25rem .75rem; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
.numbers td:not(:first-child), .numbers th:not(:first-child) { text-align: right; white-space: nowrap; }
figure { margin: 1rem 0; } img { max-width: 100%; background: white; }
figcaption, .soft { color: var(--soft); } pre, code { font-family: ui-monospace, monospace; }
pre { background: var(--card); padding: .75rem; overflow-x: auto; } .set { font-weight: 600; }
"""


def write_page(run: str | os.PathLike[str], out: str | os.PathLike[str] | None = None) -> Path:
    """Write the page of a finished run. out: the file; run/report.html if None. Result: its path.

    Raises FileNotFoundError for a run that is not finished, ValueError for a damaged file.
    """
    folder = Folder(run)
    path = folder / "report.html" if out is None else Path(out)
    write_text(path, page(folder))
    return path


def page(folder: Folder) -> str:
    """The page of a finished run, as HTML."""
    config = folder.config()
    result = folder.result()
    title = f"{folder.path.resolve().name}: {title_of(config)}"
    parts = [
        f"<h1>{html.escape(title)}</h1>",
        *_table(result),
        *(part for name in PICTURES for part in _picture(folder / name, *PICTURES[name])),
        *(part for at in sorted(folder.path.glob(f"*/{RESULT}")) for part in _attack(at)),
        *_diagnostics(result),
        *_settings(result),
    ]
    head = (
        f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{html.escape(title)}</title>'
    )
    body = "\n".join(parts)
    return f'<!doctype html>\n<html lang="en"><head>{head}<style>{STYLE}</style></head><body>\n{body}\n</body></html>\n'


def _table(result: Mapping[str, Any]) -> list[str]:
    """What was measured: a row for each network."""
    rows: dict[str, dict[str, str]] = {}
    for name, row in result["rows"].items():
        cells = {"accuracy": _percent(row["accuracy"]), "ρ₂": f"{row['rho2']:.4f}"}
        cells |= {f"Acc@{share}": _percent(value) for share, value in row.get("fgs", {}).items()}
        cells |= {f"{a} {e}": _percent(v) for a, at in row["under"].items() for e, v in at.items()}
        rows[name] = cells
    columns = list(dict.fromkeys(column for cells in rows.values() for column in cells))
    lines = [[name, *(cells.get(column, "—") for column in columns)] for name, cells in rows.items()]
    notes = [f'<p class="soft">{html.escape(str(note))}</p>' for note in result.get("notes", [])]
    return ["<h2>Results</h2>", _html_table(["", *columns], lines, "numbers"), *notes]


def _picture(path: Path, title: str, caption: str) -> list[str]:
    """The picture inside the page, if the run has it."""
    if not path.is_file():
        return []
    code = base64.b64encode(path.read_bytes()).decode()
    image = f'<img alt="{html.escape(title)}" src="data:image/png;base64,{code}">'
    return [
        f"<h2>{html.escape(title)}</h2>",
        f"<figure>{image}<figcaption>{html.escape(caption)}</figcaption></figure>",
    ]


def _attack(result: Path) -> list[str]:
    """An attack on the run: its report with the diagnostic, and its picture."""
    title = f"Attack: {result.parent.name}"
    text = str(nn.load(result).get("report", "This attack was made by a version that kept no report."))
    picture = _picture(result.with_name("adversarial.png"), title, "One image of each class, and what became of it.")
    return [*(picture or [f"<h2>{html.escape(title)}</h2>"]), f"<pre>{html.escape(text)}</pre>"]


def _diagnostics(result: Mapping[str, Any]) -> list[str]:
    """What is needed to trust the numbers, and to repeat them."""
    rows = [
        [f"images that FGS cannot move: {name}", _percent(row.get("zero_gradients", 0.0))]
        for name, row in result["rows"].items()
    ]
    rows += [[f"seconds: {name}", str(s)] for name, s in result.get("seconds", {}).items()]
    rows += [["peak memory, MiB", str(result.get("peak_memory_mib"))]]
    rows += [[f"SHA-256 of {name}", value] for name, value in result.get("brought", {}).items()]
    rows += [[name, value] for kind in ("versions", "variables") for name, value in result.get(kind, {}).items()]
    return ["<h2>Diagnostics</h2>", _html_table(["", ""], rows)]


def _settings(result: Mapping[str, Any]) -> list[str]:
    """All settings; those that are not the defaults are bold."""
    lines = []
    for key, value in flatten(result.get("config", {})).items():
        field = FIELDS.get(key)
        given = tuple(value) if isinstance(value, list) else value
        kind = "set" if field is None or given != field.default else ""
        cells = (f"<td><code>{html.escape(key)}</code></td>", f'<td class="{kind}">{html.escape(toml(given))}</td>')
        lines.append(f"<tr>{''.join(cells)}<td class='soft'>{html.escape(field.meaning if field else '')}</td></tr>")
    table = f'<div class="wide"><table>{"".join(lines)}</table></div>'
    return ["<h2>Settings</h2>", "<p>What differs from the defaults is bold.</p>", table]


def _html_table(head: Sequence[str], rows: Iterable[Sequence[str]], kind: str = "") -> str:
    body = "".join(f"<tr>{_cells('td', row)}</tr>" for row in rows)
    top = f"<tr>{_cells('th', head)}</tr>" if any(head) else ""
    return f'<div class="wide"><table class="{kind}">{top}{body}</table></div>'


def _cells(tag: str, row: Sequence[str]) -> str:
    return "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in row)


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"
