"""`tallycam train`: a model for one's own classes, or the weights of the model that ships."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

if TYPE_CHECKING:
    import threading

OWN, STREET = "own", "street"


class TrainCommands(TyperGroup):
    """`tallycam train DATA` trains on a dataset; only `tallycam train street` is a command of its own."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, args if args[:1] == [STREET] else [OWN, *args])

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        name, command, rest = super().resolve_command(ctx, args)
        return (
            ("" if name == OWN else name),
            command,
            rest,
        )  # usage lines read `tallycam train [OPTIONS] DATA`


app = typer.Typer(cls=TrainCommands, help="Train a Mask R-CNN on your own classes.")


@app.command(name=OWN, no_args_is_help=True)
def own(
    data: Annotated[
        Path,
        typer.Argument(
            metavar="DATA",
            help="A dataset: a folder with train.json and val.json (COCO), Open Images, Pascal VOC, YOLO, LabelMe, "
            "CVAT or mask PNGs. Where it is not divided, a fifth of the images is held out.",
            show_default=False,
        ),
    ],
    start: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="NAME|FILE",
            help="Start from these weights: street (small and quick), maskrcnn_resnet50_fpn, "
            "maskrcnn_resnet50_fpn_v2, or a file.",
        ),
    ] = STREET,
    classes: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CLASS,CLASS",
            help="Learn these classes. May be given several times. Default: all of DATA.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Write everything into this folder. Default: out/train/NAME OF DATA."
        ),
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder of the images, where they are not with the labels."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Begin anew in a folder that holds a training.")
    ] = False,
    steps: Annotated[int, typer.Option(help="Steps of the optimiser.", min=1)] = 600,
    batch: Annotated[int, typer.Option(help="Images of a batch on one device.", min=1)] = 4,
    accumulate: Annotated[
        int, typer.Option(help="Batches whose gradients are added up for a step.", min=1)
    ] = 1,
    learning_rate: Annotated[
        float | None,
        typer.Option(help="Its maximum. Default: 6e-4 for street, 1e-4 for the large ones.", min=0.0),
    ] = None,
    warm_up: Annotated[
        int, typer.Option(help="Steps in which the learning rate rises; then it falls as a cosine.", min=0)
    ] = 50,
    freeze: Annotated[
        int | None,
        typer.Option(
            help="Stages of the backbone that keep their weights, from the first. Default: 1 for street, 2 for the "
            "large ones.",
            min=0,
            max=5,
        ),
    ] = None,
    shortest_side: Annotated[
        int | None,
        typer.Option(
            help="Scale images until their shorter side has so many pixels; for the large ones. Default: 800.",
            min=64,
            max=4096,
        ),
    ] = None,
    augment: Annotated[
        bool,
        typer.Option("--augment/--no-augment", help="Mirror, crop, shrink and recolour images at random."),
    ] = True,
    ema: Annotated[
        float,
        typer.Option(help="Weight of the past in the moving average of the weights.", min=0.0, max=0.9999),
    ] = 0.99,
    evaluate_every: Annotated[
        int | None, typer.Option(help="Steps between evaluations. Default: a sixth of the steps.", min=1)
    ] = None,
    patience: Annotated[
        int, typer.Option(help="Stop after so many evaluations without a better AP; 0: never.", min=0)
    ] = 0,
    seed: Annotated[int, typer.Option(help="Decides all that is random.", min=0)] = 1,
    device: Annotated[
        str,
        typer.Option(
            help="The device to train on: auto, cpu, cuda or cuda:N. With torchrun, each process takes a GPU."
        ),
    ] = "auto",
    amp: Annotated[
        bool, typer.Option("--amp/--no-amp", help="Convolutions in half precision, on CUDA.")
    ] = True,
    threads: Annotated[
        int | None, typer.Option(help="Threads of PyTorch on the CPU. Default: as many as cores.", min=1)
    ] = None,
    workers: Annotated[
        int, typer.Option(help="Processes that prepare images; 0: none besides the training.", min=0)
    ] = 1,
    save_every: Annotated[
        int, typer.Option(help="Steps between checkpoints, from which a killed training goes on.", min=1)
    ] = 50,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Also write the losses for TensorBoard.")
    ] = False,
) -> None:
    """Train a Mask R-CNN on your own classes, from pre-trained weights.

    The folder gets best.safetensors, which `model: {path: ...}` takes, a model card, an evaluation with pictures of the
    worst mistakes, and a checkpoint: the same command goes on where a training was stopped or killed.

    `tallycam train street --help` tells how the weights of the model that ships are made again.
    """
    import importlib.util
    from contextlib import ExitStack
    from dataclasses import replace

    import torch

    from pipeline.cli.arguments import choose_model
    from pipeline.cli.train_progress import Reporter
    from pipeline.errors import ConfigError, ModelError
    from pipeline.finetuning.data import read_training_data
    from pipeline.finetuning.distributed import team as join_team
    from pipeline.finetuning.folder import TrainingFolder
    from pipeline.finetuning.settings import Settings
    from pipeline.finetuning.train import Job, Listener, train
    from pipeline.models.catalog import maskrcnn_weights

    if importlib.util.find_spec("pycocotools") is None:
        raise ConfigError(
            "tallycam train: pycocotools is not installed; install it with pip install pycocotools"
        )
    if threads is not None:
        torch.set_num_threads(threads)
    wanted = [name.strip() for part in classes or () for name in part.split(",") if name.strip()]
    if Path(start).suffix and not Path(start).is_file():
        raise ModelError(f"--from: there is no file {start}")
    weights = maskrcnn_weights(choose_model(start))
    with join_team(device) as team, ExitStack() as stack:
        dataset = read_training_data(data, wanted, images)
        settings = Settings.for_weights(
            small=weights is None or _is_small(weights),
            classes=dataset.classes,
            learning_rate=learning_rate,
            freeze=freeze,
            shortest=shortest_side,
        )
        settings = replace(
            settings,
            seed=seed,
            steps=steps,
            batch=batch,
            accumulate=accumulate,
            devices=team.size,
            warm_up=warm_up,
            ema_decay=ema,
            augment=augment,
            amp=amp,
            evaluate_every=evaluate_every or max(1, steps // 6),
            patience=patience,
        )
        folder = TrainingFolder(out or Path("out/train") / (data.stem or "model"))
        if team.leads:
            stack.enter_context(folder.locked())
            folder.open(settings, dataset, start, overwrite=overwrite)
        team.wait()
        job = Job(dataset, start, weights, folder, tensorboard, workers, save_every)
        with Reporter(settings, dataset, folder, team) as reporter:
            listener = Listener(reporter.begun, reporter.step, reporter.evaluated, _stop_on_signals())
            reporter.ended(train(job, settings, team, listener))


def _is_small(weights: Path) -> bool:
    """Whether a file holds the network of the model that ships."""
    from pipeline.models.maskrcnn.loader import is_compact

    return is_compact(weights)


def _stop_on_signals() -> threading.Event:
    """Set by Ctrl+C or SIGTERM: training stops after its step with a checkpoint. A second signal ends it at once."""
    import threading

    stop = threading.Event()

    def handle(number: int, frame: object) -> None:
        stop.set()
        signal.signal(number, signal.SIG_DFL)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handle)
    return stop


@app.command(name=STREET)
def street(
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
