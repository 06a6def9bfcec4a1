"""`tallycam track`: the tracker alone, MOTChallenge format in and out."""

from __future__ import annotations

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
    from pipeline.config import load as config_load
    from pipeline.config.schema import TrackerConfig
    from pipeline.errors import ConfigError
    from pipeline.evaluation.detections import track_file

    if config is None and overrides:
        raise ConfigError("--set: changes a value of --config, which is not given")
    settings = config_load.load(config, overrides or ()).tracker if config else TrackerConfig()
    pixels = None
    if size is not None:
        width, _, height = size.partition("x")
        if not (width.isdigit() and height.isdigit() and int(width) and int(height)):
            raise ConfigError(f"--size: got {size}, expected WxH, e.g. 768x576")
        pixels = (int(width), int(height))
    found = track_file(detections, tracks, settings, fps, pixels)
    margin = f" ± {found.uncertainty}" if found.uncertainty else ""
    rate = f"{found.sequence.fps:g} fps" if found.sequence.fps_told else f"about {found.sequence.fps:.1f} fps"
    at = f"{rate}, {found.sequence.size[0]}x{found.sequence.size[1]}"
    if not found.sequence.fps_told:
        typer.echo("the frame rate is estimated from how fast the boxes move; --fps tells it", err=True)
    typer.echo(f"{found.objects}{margin} objects in {found.frames} frames ({at}); tracks are in {tracks}")
