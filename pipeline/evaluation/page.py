"""One self-contained HTML page: no network, no script of others, light and dark, wide and narrow screens."""

from __future__ import annotations

from datetime import UTC, datetime
from html import escape

from pipeline import __version__
from pipeline.evaluation.report import Evaluation, Fact, Figure, Sheet, numeric, text

STYLE = """
:root { color-scheme: light dark;
  --back: #ffffff; --panel: #f5f6f8; --edge: #dfe3e8; --text: #1b1f24; --soft: #59636e;
  --one: #2563c9; --two: #8d97a3; --three: #1a7f6b; --four: #b35c00; --five: #7a4fc0; --six: #b3306b;
  --good: #1a7f4b; --bad: #c9342b; --odd: #b76e00; }
@media (prefers-color-scheme: dark) { :root {
  --back: #14171b; --panel: #1d2127; --edge: #30363e; --text: #e8ebee; --soft: #9ba5b0;
  --one: #6aa5ff; --two: #7d8894; --three: #45c4ac; --four: #f0a050; --five: #b79cf0; --six: #f080b0;
  --good: #56d08d; --bad: #ff7b72; --odd: #f0b04a; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--back); color: var(--text);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; }
main { max-width: 1060px; margin: 0 auto; padding: 28px 20px 60px; }
h1 { font-size: 26px; line-height: 1.25; margin: 0 0 4px; }
h2 { font-size: 17px; margin: 34px 0 8px; }
p { margin: 6px 0; max-width: 76ch; }
.soft { color: var(--soft); }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(148px, 1fr)); gap: 10px; margin: 22px 0 14px; }
.fact { background: var(--panel); border: 1px solid var(--edge); border-radius: 8px; padding: 10px 14px; }
.fact b { display: block; font-size: 23px; font-weight: 600; font-variant-numeric: tabular-nums; }
.fact.wrong b { color: var(--bad); }
.fact span { display: block; color: var(--soft); font-size: 13px; line-height: 1.35; }
.note { border-left: 3px solid var(--odd); padding: 2px 12px; margin: 12px 0; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 14px; min-width: 50%; }
th, td { padding: 5px 14px 5px 0; text-align: left; border-bottom: 1px solid var(--edge); white-space: nowrap; }
th { color: var(--soft); font-weight: 500; }
.number { text-align: right; padding: 5px 14px; }
tr.total td { font-weight: 600; border-top: 2px solid var(--edge); }
tr.wrong td { color: var(--bad); }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 400px), 1fr)); gap: 14px; }
figure { margin: 0; background: var(--panel); border: 1px solid var(--edge); border-radius: 8px; padding: 12px 14px; }
figure.wide { grid-column: 1 / -1; }
figure.wide svg { min-width: 700px; }
figcaption { font-weight: 600; margin-bottom: 6px; }
figure p { color: var(--soft); font-size: 13px; }
svg { display: block; width: 100%; height: auto; }
svg text { fill: var(--text); font-size: 12px; font-family: inherit; }
svg text.small { fill: var(--soft); font-size: 11px; }
svg .grid { stroke: var(--edge); stroke-width: 1; }
svg .line { fill: none; stroke-width: 2; stroke-linejoin: round; }
svg .line.pale { stroke-width: 7; opacity: 0.33; } svg .fill.pale { opacity: 0.4; }
svg .fill.one { fill: var(--one); } svg .line.one { stroke: var(--one); }
svg .fill.two { fill: var(--two); } svg .line.two { stroke: var(--two); }
svg .fill.three { fill: var(--three); } svg .line.three { stroke: var(--three); }
svg .fill.four { fill: var(--four); } svg .line.four { stroke: var(--four); }
svg .fill.five { fill: var(--five); } svg .line.five { stroke: var(--five); }
svg .fill.six { fill: var(--six); } svg .line.six { stroke: var(--six); }
svg .mark.hit { fill: var(--good); stroke: var(--panel); stroke-width: 1; }
svg .mark.miss { fill: none; stroke: var(--bad); stroke-width: 2; }
svg .mark.extra { fill: none; stroke: var(--odd); stroke-width: 2.5; }
footer { margin-top: 40px; color: var(--soft); font-size: 13px; }
@media (max-width: 560px) { main { padding: 18px 14px 40px; } h1 { font-size: 22px; } .fact b { font-size: 20px; }
  .facts { grid-template-columns: 1fr 1fr; } }
@media print { figure, .fact { break-inside: avoid; } }
"""
POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"
"""What the page may load: nothing that is not in it."""


def page(title: str, body: str, style: str = "", script: str = "") -> str:
    """A whole page; `body` is HTML, `title` is text."""
    made = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    code = f"<script>{script}</script>" if script else ""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(POLICY)}">'
        f"<title>{escape(title)}</title><style>{STYLE}{style}</style></head>\n<body><main>{body}\n"
        f"<footer>Tallycam {__version__}, {made}</footer></main>{code}</body></html>\n"
    )


def evaluation_page(evaluation: Evaluation) -> str:
    """The page of an evaluation."""
    parts = [f"<h1>{escape(evaluation.title)}</h1><p class=soft>{escape(evaluation.subject)}</p>"]
    parts.append(facts(evaluation.facts))
    parts += [f"<p class=note>{escape(note)}</p>" for note in evaluation.notes]
    parts.append("<div class=figures>" + "".join(map(_figure, evaluation.figures)) + "</div>")
    parts += [sheet_html(sheet) for sheet in evaluation.sheets]
    return page(evaluation.title, "\n".join(parts))


def facts(items: tuple[Fact, ...]) -> str:
    """Headline figures."""
    cards = [
        f'<div class="fact{" wrong" if item.wrong else ""}"><span>{escape(item.name)}</span>'
        f"<b>{escape(item.value)}</b><span>{escape(item.hint)}</span></div>"
        for item in items
    ]
    return "<div class=facts>" + "".join(cards) + "</div>"


def sheet_html(sheet: Sheet) -> str:
    """A table with its title."""
    right = [" class=number" if number else "" for number in numeric(sheet)]
    head = "".join(f"<th{kind}>{escape(name)}</th>" for name, kind in zip(sheet.header, right, strict=True))
    rows = []
    for place, row in enumerate(sheet.rows):
        kinds = ["wrong"] if place in sheet.wrong else []
        kinds += ["total"] if sheet.total and place == len(sheet.rows) - 1 else []
        cells = "".join(f"<td{kind}>{escape(text(cell))}</td>" for cell, kind in zip(row, right, strict=True))
        rows.append(f'<tr class="{" ".join(kinds)}">{cells}</tr>')
    note = f"<p class=soft>{escape(sheet.note)}</p>" if sheet.note else ""
    return (
        f"<h2>{escape(sheet.title)}</h2>{note}<div class=scroll><table><thead><tr>{head}</tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _figure(figure: Figure) -> str:
    note = f"<p>{escape(figure.note)}</p>" if figure.note else ""
    wide = " class=wide" if figure.wide else ""
    return (
        f"<figure{wide}><figcaption>{escape(figure.title)}</figcaption>"
        f"<div class=scroll>{figure.svg}</div>{note}</figure>"
    )
