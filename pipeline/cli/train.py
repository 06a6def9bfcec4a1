"""`tallycam train`: the weights of the model that ships."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def train(
    out: Annotated[Path, typer.Option(help="Write the weights to this file.", metavar="FILE")] = Path(
        "street.safetensors"
    ),
    seed: Annotated[
        int, typer.Option(help="Seed of the initial weights, the order and the augmentation.")
    ] = 1,
    steps: Annotated[int, typer.Option(help="Number of optimiser steps.", min=2)] = 6000,
    scenes: Annotated[int, typer.Option(help="Number of scenes to render, six frames of each.", min=1)] = 900,
    cache: Annotated[
        Path, typer.Option(help="Keep the rendered frames in this folder.", metavar="DIR")
    ] = Path("out/train"),
    start: Annotated[
        Path | None, typer.Option(help="Start from these weights instead of random ones.", metavar="FILE")
    ] = None,
    device: Annotated[str, typer.Option(help="The device to train on: auto, cpu or cuda.")] = "auto",
) -> None:
    """Train the model that ships on rendered scenes."""
    from pipeline.demo.train_street import train as train_street

    train_street(out, seed=seed, steps=steps, scenes=scenes, cache=cache, start=start, device=device)
