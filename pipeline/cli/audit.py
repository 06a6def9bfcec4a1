"""`tallycam audit`: every counted event as pictures, to be checked by a person."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

MANY = 500
"""With more events a sample is recommended, since the page would have tens of megabytes."""


def audit(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="The folder of a finished run.", show_default=False)
    ],
    sample: Annotated[
        int | None, typer.Option(help="Show only so many events, drawn at random.", metavar="N", min=1)
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the random draw.")] = 1,
    marks: Annotated[
        Path | None,
        typer.Option(
            help="Read the marks saved on the page and print the precision they give.", metavar="FILE"
        ),
    ] = None,
    kind: Annotated[
        list[str] | None,
        typer.Option(
            help="Show only events of this kind: line, zone or unique. May be given several times.",
            metavar="KIND",
        ),
    ] = None,
    stream: Annotated[
        list[str] | None,
        typer.Option(help="Show only this stream. May be given several times.", metavar="NAME"),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Write the page to this file instead of RUN/audit.html.", metavar="FILE"),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(help="Read the video from here if it has been moved since the run.", metavar="URI"),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            help="Use this configuration instead of the one the run left in its folder.", metavar="CONFIG"
        ),
    ] = None,
    events: Annotated[
        str | None,
        typer.Option(help="Read the events from this database instead of RUN/events.db.", metavar="URL"),
    ] = None,
) -> None:
    """Show every counted event as pictures on one page, to be checked by eye.

    Mark the events on the page, save the marks, and pass them with --marks: the precision of each line, with its
    95 % confidence interval, is printed and written to RUN/audit.json.
    """
    from rich.console import Console

    from pipeline.audit import audit_job
    from pipeline.audit.marks import AuditError, precisions, read_marks
    from pipeline.evaluation.report import rich_table
    from pipeline.evaluation.run_events import read_run
    from pipeline.files import make_folder, write_text
    from pipeline.records.summary import write_json

    console = Console()
    kinds = tuple(kind or ("line", "zone", "unique"))
    if wrong := [one for one in kinds if one not in ("line", "zone", "unique")]:
        raise AuditError(f"--kind: got {wrong[0]}, expected line, zone or unique")
    selection = audit_job.Selection(kinds, tuple(stream) if stream else None, sample, seed)
    counted = audit_job.counted_events(run, selection, events)
    if marks is not None:
        given = read_marks(marks, read_run(run))
        parts = precisions(counted, given)
        console.print(rich_table(audit_job.sheet(parts)), crop=False)
        write_json(run / "audit.json", audit_job.figures_json(read_run(run), parts))
        console.print(f"The figures are in {run / 'audit.json'}", highlight=False, soft_wrap=True)
        return
    if sample is None and len(counted) > MANY:
        console.print(
            f"{len(counted)} events: --sample 200 makes a small page", style="yellow", highlight=False
        )
    path = out or run / "audit.html"
    loaded = audit_job.run_config(run, config, source)
    page = audit_job.make_page(
        run, loaded, counted, selection, lambda name, count: console.print(f"{name}: {count} events")
    )
    make_folder(path.parent, "give another file")
    write_text(path, page, advice="give another file")
    console.print(f"Open {path} in a browser", highlight=False, soft_wrap=True)
