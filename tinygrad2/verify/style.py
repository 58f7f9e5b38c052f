"""The style of reports in notebooks: light and dark, by the reader's system or by the notebook's own theme."""

from __future__ import annotations

LIGHT = """
  --fg: #1f2328; --soft: #59636e; --bg: #ffffff; --line: #d1d9e0; --sheet: #f6f8fa;
  --right: #1a7f37; --wrong: #c4232e; --uncertified: #8a5a00; --plus: 9,105,218; --minus: 219,109,40;
"""
DARK = """
  --fg: #e6edf3; --soft: #9198a1; --bg: #0d1117; --line: #3d444d; --sheet: #1c2129;
  --right: #3fb950; --wrong: #ff7b72; --uncertified: #d29922; --plus: 56,139,253; --minus: 240,136,62;
"""
STYLE = f"""
.tg2 {{{LIGHT}
  max-width: 60em; margin: 4px 0; padding: 12px 16px;
  color: var(--fg); background: var(--bg); color-scheme: light dark;
  border: 1px solid var(--line); border-left: 5px solid var(--mark); border-radius: 6px;
  font: 14px/1.5 system-ui, sans-serif; text-align: left;
}}
@media (prefers-color-scheme: dark) {{ .tg2 {{{DARK}}} }}
[data-jp-theme-light="true"] .tg2, .vscode-light .tg2 {{{LIGHT}}}
[data-jp-theme-light="false"] .tg2, .vscode-dark .tg2 {{{DARK}}}
.tg2.right {{ --mark: var(--right); }}
.tg2.wrong {{ --mark: var(--wrong); }}
.tg2.uncertified {{ --mark: var(--uncertified); }}
.tg2 header {{ display: flex; flex-wrap: wrap; gap: 2px 12px; align-items: baseline; }}
.tg2 .verdict {{ color: var(--mark); font-weight: 700; letter-spacing: .04em; }}
.tg2 .name {{ font-weight: 600; font-size: 16px; }}
.tg2 .soft {{ color: var(--soft); }}
.tg2 h4 {{
  margin: 14px 0 4px; color: var(--soft);
  font-size: 12px; font-weight: 600; letter-spacing: .05em; text-transform: uppercase;
}}
.tg2 p {{ margin: 4px 0; }}
.tg2 code, .tg2 pre, .tg2 td, .tg2 .case {{ font-family: ui-monospace, Menlo, Consolas, monospace; font-size: 13px; }}
.tg2 code {{ padding: 1px 4px; color: inherit; background: var(--sheet); border-radius: 4px; }}
.tg2 pre {{ margin: 6px 0; color: inherit; background: none; white-space: pre-wrap; }}
.tg2 ol {{ display: flex; flex-wrap: wrap; gap: 4px; margin: 8px 0; padding: 0; list-style: none; }}
.tg2 li {{
  margin: 0; padding: 0 8px; color: var(--soft);
  font-size: 12px; border: 1px solid var(--line); border-radius: 10px;
}}
.tg2 li.failed {{ color: var(--mark); font-weight: 700; border: 2px solid var(--mark); }}
.tg2 li.rest {{ border-style: dashed; }}
.tg2 .grids {{ display: flex; flex-wrap: wrap; gap: 8px 24px; align-items: flex-start; margin: 4px 0 10px; }}
.tg2 figure {{ margin: 0; }}
.tg2 figcaption {{ color: var(--soft); font-size: 12px; }}
.tg2 figcaption b {{ color: var(--fg); }}
.tg2 .planes {{ display: flex; flex-wrap: wrap; gap: 8px; align-items: flex-start; }}
.tg2 table {{ margin: 2px 0; border: 0; border-collapse: collapse; }}
.tg2 caption {{ padding: 0; color: var(--soft); font-size: 11px; text-align: left; caption-side: top; }}
.tg2 tr, .tg2 tbody tr:nth-child(odd) {{ background: none; }}
.tg2 td {{ min-width: 2.2em; padding: 2px 7px; color: var(--fg); border: 1px solid var(--line); text-align: right; }}
.tg2 td.plus {{ background: rgba(var(--plus), var(--a)); }}
.tg2 td.minus {{ background: rgba(var(--minus), var(--a)); }}
.tg2 td.off {{ outline: 2px solid var(--fg); outline-offset: -2px; font-weight: 700; }}
.tg2 summary {{ cursor: pointer; }}
.tg2 details p {{ margin-left: 1.2em; }}
.tg2 .said {{ padding-left: 10px; border-left: 3px solid var(--line); white-space: pre-line; }}
"""
