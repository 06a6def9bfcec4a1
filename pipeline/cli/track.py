"""`tallycam track`: the tracker alone, MOTChallenge format in and out."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.options import Overrides


def track(
    detections: Annotated[
        Path,
        typer.Option(
            help="Read these boxes: rows of frame,id,left,top,width,height,score.",
            metavar="DET.txt",
            show_default=False,
        ),
    ],
    tracks: Annotated[
        Path,
        typer.Option(
            help="Write the tracks to this file, in the same format.", metavar="OUT.txt", show_default=False
        ),
    ],
    config: Annotated[
        Path | None,
        typer.Option(
            "--config", help="Take the tracker's settings from this configuration.", metavar="CONFIG"
        ),
    ] = None,
    overrides: Overrides = None,
    fps: Annotated[
        float | None,
        typer.Option(
            help="Frame rate of the video. By default seqinfo.ini gives it, or it is estimated from the speed of "
            "the boxes.",
            min=0.1,
        ),
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(
            help="Size of the frames in pixels. By default seqinfo.ini gives it, or the extent of all boxes.",
            metavar="WxH",
        ),
    ] = None,
) -> None:
    """Track the boxes of a MOTChallenge detection file, without a video."""
    from pipeline.cli.arguments import parse_size
    from pipeline.config.load import load, load_without_file
    from pipeline.errors import ConfigError
    from pipeline.evaluation.detection_tracks import track_file

    if fps is not None and not math.isfinite(fps):
        raise ConfigError(f"--fps: got {fps}, expected frames per second, e.g. 25")
    changes = overrides or ()
    settings = (load(config, changes) if config else load_without_file(changes)).tracker
    pixels = parse_size(size, "--size") if size is not None else None
    found = track_file(detections, tracks, settings, fps, pixels)
    sequence = found.sequence
    for reason, rows in sequence.left_out.items():
        typer.echo(f"{rows} row{'s' * (rows != 1)} {reason} left out", err=True)
    if sequence.fps_estimated:
        typer.echo("the frame rate is estimated from the speed of the boxes; set it with --fps", err=True)
    margin = f" ± {found.uncertainty}" if found.uncertainty else ""
    rate = f"about {sequence.fps:.1f} fps" if sequence.fps_estimated else f"{sequence.fps:g} fps"
    at = f"{rate}, {sequence.size[0]}x{sequence.size[1]}"
    typer.echo(f"{found.objects}{margin} objects in {found.frames} frames ({at}); tracks are in {tracks}")
