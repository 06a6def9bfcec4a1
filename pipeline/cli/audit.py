"""`tallycam audit`: every counted event as pictures, to be checked by a person."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

MANY = 500
"""Events from which on a sample is recommended: a page of more takes tens of megabytes."""


def audit(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="folder of a run", show_default=False)],
    sample: Annotated[
        int | None, typer.Option(help="show so many events, drawn at random", metavar="N", min=1)
    ] = None,
    seed: Annotated[int, typer.Option(help="of the draw")] = 1,
    marks: Annotated[
        Path | None,
        typer.Option(help="marks saved on the page: prints the precision by them", metavar="FILE"),
    ] = None,
    kind: Annotated[
        list[str] | None, typer.Option(help="line, zone or unique; repeatable; default: all", metavar="KIND")
    ] = None,
    stream: Annotated[list[str] | None, typer.Option(help="repeatable; default: all", metavar="NAME")] = None,
    out: Annotated[
        Path | None, typer.Option(help="the page; default: RUN/audit.html", metavar="FILE")
    ] = None,
    source: Annotated[
        str | None, typer.Option(help="where the video is now, if it has been moved", metavar="URI")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="default: what the run has left in its folder", metavar="CONFIG")
    ] = None,
    events: Annotated[
        str | None, typer.Option(help="the database, if it is not events.db", metavar="URL")
    ] = None,
) -> None:
    """Show each counted event before, at and after the line on one page, where wrong ones can be marked.

    Save the marks on the page, then give them back with --marks: the precision of the counts by line, with a
    95 % interval, is printed and written to RUN/audit.json.
    """
    from rich.console import Console

    from pipeline.audit import job
    from pipeline.audit.marks import AuditError, precisions, read_marks
    from pipeline.evaluation.page import write_text
    from pipeline.evaluation.report import rich_table
    from pipeline.evaluation.run_events import read_run
    from pipeline.records.summary import write_json

    console = Console()
    kinds = tuple(kind or ("line", "zone", "unique"))
    if wrong := [one for one in kinds if one not in ("line", "zone", "unique")]:
        raise AuditError(f"--kind: got {wrong[0]}, expected line, zone or unique")
    selection = job.Selection(kinds, tuple(stream) if stream else None, sample, seed)
    counted = job.counted_events(run, selection, events)
    if marks is not None:
        given = read_marks(marks, read_run(run))
        parts = precisions(counted, given)
        console.print(rich_table(job.sheet(parts)))
        write_json(run / "audit.json", job.figures_json(read_run(run), parts))
        console.print(f"The figures are in {run / 'audit.json'}", highlight=False, soft_wrap=True)
        return
    if sample is None and len(counted) > MANY:
        console.print(
            f"{len(counted)} events: --sample 200 makes a small page", style="yellow", highlight=False
        )
    path = out or run / "audit.html"
    loaded = job.run_config(run, config, source)
    page = job.make_page(
        run, loaded, counted, selection, lambda name, count: console.print(f"{name}: {count} events")
    )
    write_text(path, page)
    console.print(f"Open {path} in a browser", highlight=False, soft_wrap=True)
