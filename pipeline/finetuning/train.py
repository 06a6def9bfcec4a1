"""`tallycam train DATA`: from a dataset and pre-trained weights to a model, its evaluation and its card."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torchvision.models.detection import MaskRCNN

from pipeline.evaluation.image_matches import best_score, match_images, worst
from pipeline.evaluation.mask_files import TrueMasks
from pipeline.evaluation.mask_scores import MaskScores, score_masks
from pipeline.evaluation.masks_report import masks_report
from pipeline.evaluation.report import Evaluation
from pipeline.evaluation.report_page import evaluation_page
from pipeline.evaluation.worst_images import write_worst
from pipeline.files import write_text
from pipeline.finetuning.data import TrainingData
from pipeline.finetuning.distributed import Team
from pipeline.finetuning.examples import Examples
from pipeline.finetuning.fit import Fit, Hooks, Step
from pipeline.finetuning.folder import TrainingFolder
from pipeline.finetuning.history import History
from pipeline.finetuning.model_card import input_text, model_card, save_model, write_card
from pipeline.finetuning.new_heads import NMS, SCORE, StartNetwork, start_network
from pipeline.finetuning.scoring import found_masks, segmenter_of, true_masks
from pipeline.finetuning.settings import Settings
from pipeline.finetuning.training_checkpoint import Course
from pipeline.models.maskrcnn.mask_rcnn import MaskRcnn
from pipeline.records.summary import write_json

WORST = 24
"""Pictures of images in which something is wrong."""


@dataclass(frozen=True, slots=True)
class Job:
    """What is trained, apart from the settings.

    Attributes:
        data: images and labels.
        start: name of the weights to start from, for the card.
        weights: their file; None for those that ship.
        folder: where everything is written.
        tensorboard: write events for TensorBoard as well.
        workers: processes that prepare examples.
        save_every: steps between checkpoints.
    """

    data: TrainingData
    start: str
    weights: Path | None
    folder: TrainingFolder
    tensorboard: bool = False
    workers: int = 1
    save_every: int = 100


@dataclass(frozen=True, slots=True)
class Listener:
    """Who is told how it goes.

    Attributes:
        begun: called once with the network, and how far an earlier training came.
        step: called after each step.
        evaluated: called with the figures of each evaluation, percent.
        stop: set when the user wants to stop.
    """

    begun: Callable[[StartNetwork, Course], None]
    step: Callable[[Step], None]
    evaluated: Callable[[int, dict[str, float]], None]
    stop: threading.Event


def train(job: Job, settings: Settings, team: Team, listener: Listener) -> Evaluation | None:
    """Trains, or goes on where an earlier training in the folder was stopped or killed.

    Args:
        job: what is trained.
        settings: what determines the result.
        team: the processes that train together.
        listener: who is told.

    Returns:
        The evaluation of the best weights; None where training was stopped before its end, and in the processes of a
        team besides the first one.

    Raises:
        ModelError: weights or checkpoint do not fit.
        OutputError: a file cannot be written.
    """
    start = start_network(job.weights, settings.classes, settings.seed, settings.shortest)
    fit = Fit(start, settings, team, job.folder.checkpoint, job.save_every)
    course = fit.state.course
    if team.leads:
        listener.begun(start, course)
    truth = true_masks(job.data.val, settings.classes)
    examples = Examples(job.data.train, start.preprocessor, settings)
    if not team.leads:
        fit.run(examples, _silent(listener), job.workers)
        return None
    board = job.folder.tensorboard if job.tensorboard else None
    with History(job.folder.history, course.step, board) as history:
        fit.run(examples, _hooks(job, settings, start, truth, history, listener), job.workers)
    if not course.ended:
        return None
    return _concluded(job, settings, start, course, truth, team.device)


def _silent(listener: Listener) -> Hooks:
    """What a process does that does not lead: it trains."""
    return Hooks(
        lambda step: None, lambda model, course: 0.0, lambda model, course: None, listener.stop.is_set
    )


def _hooks(
    job: Job, settings: Settings, start: StartNetwork, truth: TrueMasks, history: History, listener: Listener
) -> Hooks:
    """What the leader does beside the steps."""

    def step(done: Step) -> None:
        history.step(done)
        listener.step(done)

    latest: dict[str, float] = {}

    def evaluate(model: MaskRCNN, course: Course) -> float:
        segmenter = segmenter_of(model, start, settings.classes, next(model.parameters()).device)
        latest.update(figures(score_masks(truth, found_masks(segmenter, job.data.val, truth))))
        history.evaluation(course.step, latest)
        listener.evaluated(course.step, dict(latest))
        save_model(job.folder.last, model, start, settings, _about(job, latest, course))
        return latest["AP"]

    def improved(model: MaskRCNN, course: Course) -> None:
        save_model(job.folder.best, model, start, settings, _about(job, latest, course))

    return Hooks(step, evaluate, improved, listener.stop.is_set)


def _about(job: Job, metrics: dict[str, float], course: Course) -> dict[str, object]:
    """Metadata of a weight file."""
    return {
        "started_from": job.start,
        "metrics": {name: round(value, 2) for name, value in metrics.items()},
        "step": course.step,
        "images": {"train": len(job.data.train), "val": len(job.data.val)},
    }


def figures(scores: MaskScores) -> dict[str, float]:
    """The headline figures of an evaluation, percent; 0 where nothing was found.

    Args:
        scores: of masks.
    """
    total = scores.total
    values = {
        "AP": total.ap, "AP50": total.ap50, "AP75": total.ap75, "IoU": total.iou,
        "precision": total.precision_at, "recall": total.recall_at,
    }  # fmt: skip
    return {
        name: value if value == value else 0.0 for name, value in values.items()
    }  # NaN differs from itself


def _concluded(
    job: Job, settings: Settings, start: StartNetwork, course: Course, truth: TrueMasks, device: torch.device
) -> Evaluation:
    """Evaluates the best weights as a run would load them, and writes page, figures, pictures and card."""
    folder, data = job.folder, job.data
    segmenter = MaskRcnn.load(folder.best, device=str(device), score=SCORE, nms=NMS, precision="fp32")
    found = found_masks(segmenter, data.val, truth)
    score = best_score(match_images(truth, found, SCORE))
    scores = score_masks(truth, found, score)
    matches = match_images(truth, found, score)
    pictures = write_worst(
        worst(matches, WORST), truth.names, lambda image: data.val[image].read(), folder.worst
    )
    subject = f"{folder.best} on {len(data.val)} images of {data.source}"
    report = masks_report(scores, matches, subject, pictures=pictures)
    write_text(folder.evaluation.with_suffix(".html"), evaluation_page(report))
    write_json(folder.evaluation, report.data)
    size = input_text(start, start.model)
    write_card(folder.card, model_card(data, settings, course, scores, job.start, size))
    return report
