"""Self-contained HTML pages: no network, no third-party script, light and dark, wide and narrow screens."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from pipeline import __version__
from pipeline.evaluation.report import Evaluation, numeric, text

TEMPLATES = Path(__file__).parent / "templates"
POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"
"""Content security policy: a page loads nothing that is not in it."""


def render(template: str, title: str, folder: Path = TEMPLATES, css: str = "", **values: Any) -> str:
    """Render a page. Values are escaped unless a template marks them as safe.

    Args:
        template: name of a template in `folder`, which extends `page.html`.
        title: of the page.
        folder: where the template is.
        css: a style sheet after the one that all pages share.
        values: variables of the template.
    """
    environment = Environment(
        loader=FileSystemLoader([folder, TEMPLATES]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"numeric": numeric, "text": text}
    return environment.get_template(template).render(
        title=title,
        style=(TEMPLATES / "page.css").read_text(encoding="utf-8") + css,
        policy=POLICY,
        version=__version__,
        made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        **values,
    )


def evaluation_page(evaluation: Evaluation) -> str:
    """The page of an evaluation: headline figures, plots and tables."""
    return render("evaluation.html", evaluation.title, evaluation=evaluation)
