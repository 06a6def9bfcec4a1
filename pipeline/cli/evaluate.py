"""`tallycam evaluate`: tracks, masks or counts compared with ground truth."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pipeline.evaluation.report import Evaluation, Figure

app = typer.Typer(no_args_is_help=True, help="Compare tracks, masks or counts with ground truth.")

JsonFile = Annotated[
    Path | None,
    typer.Option(
        "--json", help="Write the figures here instead of evaluation.json beside the input.", metavar="FILE"
    ),
]
HtmlFile = Annotated[
    Path | None,
    typer.Option("--html", help="Write the page here instead of beside the JSON file.", metavar="FILE"),
]


@app.command()
def tracks(
    truth: Annotated[
        list[Path],
        typer.Option(
            help="MOTChallenge ground truth, or a folder of NAME/gt.txt. May be given several times.",
            metavar="PATH",
        ),
    ],
    found: Annotated[
        list[Path],
        typer.Option(
            "--tracks",
            help="The tracks, or a folder of NAME.txt. May be given several times.",
            metavar="PATH",
        ),
    ],
    lines: Annotated[
        str,
        typer.Option(
            help="Vertical lines at these fractions of the width, or the lines of a configuration, or none.",
            metavar="PARTS|CONFIG",
        ),
    ] = "0.25,0.5,0.75",
    size: Annotated[
        list[str] | None,
        typer.Option(
            help="Size of the frames if there is no seqinfo.ini. NAME=WxH sets it for one sequence.",
            metavar="WxH",
        ),
    ] = None,
    moving: Annotated[
        list[str] | None,
        typer.Option(
            help="Count no lines in this sequence because its camera moves. May be given several times.",
            metavar="NAME",
        ),
    ] = None,
    tolerance: Annotated[
        int, typer.Option(help="Frames by which a crossing may differ from the true one it matches.", min=0)
    ] = 15,
    json_file: JsonFile = None,
    html_file: HtmlFile = None,
) -> None:
    """Score MOTChallenge tracks: HOTA, IDF1, MOTA, unique counts and line crossings."""
    from pipeline.evaluation.track_files import pair
    from pipeline.evaluation.track_lines import with_lines
    from pipeline.evaluation.track_scores import score_tracks
    from pipeline.evaluation.tracks_report import tracks_report

    sequences, notes = with_lines(pair(truth, found, size or []), lines, moving or [])
    scores = score_tracks(sequences, tolerance)
    subject = f"{', '.join(map(str, found))} against {', '.join(map(str, truth))}"
    folder = found[0] if found[0].is_dir() else found[0].parent
    _tell(tracks_report(scores, subject, notes), folder, json_file, html_file)


@app.command()
def masks(
    truth: Annotated[
        Path,
        typer.Option(help="COCO annotations with masks, or the truth of a rendered scene.", metavar="FILE"),
    ],
    found: Annotated[
        Path,
        typer.Option(
            help="COCO results, instances.json of `tallycam image`, an instances log, or a folder with one of these.",
            metavar="PATH",
        ),
    ],
    score: Annotated[
        float, typer.Option(help="Masks below this score count only towards AP.", min=0.0, max=1.0)
    ] = 0.5,
    images: Annotated[
        Path | None,
        typer.Option(help="Draw the worst images, which are in this folder, into worst/.", metavar="DIR"),
    ] = None,
    json_file: JsonFile = None,
    html_file: HtmlFile = None,
) -> None:
    """Score instance masks: COCO AP, IoU, precision and recall by class, the confusion matrix, the worst images."""
    from pipeline.evaluation.image_matches import match_images, worst
    from pipeline.evaluation.mask_files import read_found_masks, read_truth_masks
    from pipeline.evaluation.mask_scores import score_masks
    from pipeline.evaluation.masks_report import masks_report

    true = read_truth_masks(truth)
    guesses = read_found_masks(found, true)
    matches = match_images(true, guesses, score)
    folder = found if found.is_dir() else found.parent
    pictures: tuple[Figure, ...] = ()
    if images is not None:
        from pipeline.evaluation.worst_images import write_worst
        from pipeline.pictures import read

        files = [images / name for name in true.names]
        pictures = write_worst(
            worst(matches, 24), true.names, lambda place: read(files[place]).picture, folder / "worst"
        )
    subject = f"{found} against {truth}"
    report = masks_report(score_masks(true, guesses, score), matches, subject, guesses.notes, pictures)
    _tell(report, folder, json_file, html_file)


@app.command()
def counts(
    truth: Annotated[
        Path,
        typer.Option(
            help="The truth of a rendered scene, or a CSV file with time_s,line,class,direction.",
            metavar="FILE",
        ),
    ],
    run: Annotated[
        Path,
        typer.Option(help="The folder of a finished run, with events.db and summary.json.", metavar="DIR"),
    ],
    stream: Annotated[
        str | None, typer.Option(help="The stream to evaluate, if the run has several.", metavar="NAME")
    ] = None,
    tolerance: Annotated[
        float,
        typer.Option(
            help="Seconds of video by which an event may differ from the true one it matches.", min=0.0
        ),
    ] = 1.0,
    events: Annotated[
        str | None,
        typer.Option(help="Read the events from this database instead of events.db.", metavar="URL"),
    ] = None,
    json_file: JsonFile = None,
    html_file: HtmlFile = None,
) -> None:
    """Score the counts of a run: F1 by line, class and direction, unique objects and zones."""
    from pipeline.evaluation.count_truth import read_count_truth
    from pipeline.evaluation.counts import score_counts
    from pipeline.evaluation.counts_report import counts_report

    scores = score_counts(read_count_truth(truth), run, stream, tolerance_s=tolerance, events_url=events)
    _tell(counts_report(scores, f"{run}, stream {scores.stream}, against {truth}"), run, json_file, html_file)


def _tell(evaluation: Evaluation, folder: Path, json_file: Path | None, html_file: Path | None) -> None:
    """Print the tables, and write the JSON file and the page."""
    from rich.console import Console

    from pipeline.evaluation.report import rich_table
    from pipeline.evaluation.report_page import evaluation_page
    from pipeline.files import make_folder, write_text
    from pipeline.records.summary import write_json

    json_path = json_file or folder / "evaluation.json"
    html_path = html_file or json_path.with_suffix(".html")
    console = Console()
    for sheet in evaluation.sheets:
        console.print(rich_table(sheet), crop=False)
    for note in evaluation.notes:
        console.print(note, style="yellow", highlight=False)
    console.print(
        "  ".join(f"{fact.name} {fact.value}" for fact in evaluation.facts), highlight=False, soft_wrap=True
    )
    make_folder(html_path.parent, "give another file")
    write_text(html_path, evaluation_page(evaluation), advice="give another file")
    make_folder(json_path.parent, "give another file")
    write_json(json_path, evaluation.data)
    console.print(f"The page is {html_path}, the figures are in {json_path}", highlight=False, soft_wrap=True)
