"""The page and the sheet of an inspected dataset."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from pipeline.curation.inspection import Inspection, facts, sheets, varied
from pipeline.curation.samples import Sample, name_of, samples, sheet
from pipeline.evaluation.report import Evaluation
from pipeline.evaluation.report_page import render
from pipeline.files import write_bytes, write_text
from pipeline.pictures import encoded

TEMPLATES = Path(__file__).parent / "templates"
PAIRS_SHOWN = 6


@dataclass(frozen=True, slots=True)
class ShownPicture:
    """A picture of the page."""

    name: str
    note: str
    url: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Group:
    """Pictures under one heading."""

    title: str
    pictures: tuple[ShownPicture, ...]


def write_page(found: Inspection, subject: str, out: Path, most: int, seed: int = 1) -> list[Path]:
    """Writes `inspect.html` and `samples.png`.

    Args:
        found: the inspected dataset.
        subject: which dataset, in words.
        out: folder of the files.
        most: number of samples.
        seed: of their choice.

    Returns:
        The files; without `samples.png` if no image can be shown.

    Raises:
        OutputError: they cannot be written.
    """
    chosen = samples(found.dataset, varied(found.dataset, seed), most)
    groups = (
        Group("Images in two splits", _pairs(found, leaks=True)),
        Group("Images that are nearly the same", _pairs(found, leaks=False)),
        Group("Samples", tuple(map(_shown, chosen))),
    )
    evaluation = Evaluation(
        title="What is in the dataset",
        subject=subject,
        facts=facts(found),
        sheets=sheets(found),
        figures=(),
        data={},
    )
    css = (TEMPLATES / "inspect.css").read_text(encoding="utf-8")
    page = render("inspect.html", evaluation.title, TEMPLATES, css, evaluation=evaluation, groups=groups)
    files = [out / "inspect.html"]
    write_text(files[0], page)
    if chosen:
        files.append(out / "samples.png")
        write_bytes(files[1], encoded(sheet(chosen), ".png"))
    return files


def _shown(one: Sample) -> ShownPicture:
    url = "data:image/jpeg;base64," + base64.b64encode(encoded(one.picture, ".jpg")).decode("ascii")
    height, width = one.picture.shape[:2]
    return ShownPicture(name_of(one.image), one.note, url, width, height)


def _pairs(found: Inspection, *, leaks: bool) -> tuple[ShownPicture, ...]:
    images = found.dataset.images
    shown: list[ShownPicture] = []
    for pair in found.pairs:
        both = [images[pair.first], images[pair.second]]
        if (both[0].split != both[1].split) is not leaks:
            continue
        drawn: Sequence[Sample] = samples(found.dataset, both, 2, "identical" if pair.identical else "alike")
        if len(drawn) == 2:
            shown.append(_shown(_beside(*drawn)))
        if len(shown) == PAIRS_SHOWN:
            break
    return tuple(shown)


def _beside(first: Sample, second: Sample) -> Sample:
    """Two samples in one picture."""
    height = min(first.picture.shape[0], second.picture.shape[0])
    both = [
        cv2.resize(one.picture, (round(one.picture.shape[1] * height / one.picture.shape[0]), height))
        for one in (first, second)
    ]
    picture = np.concatenate([both[0], np.zeros((height, 4, 3), np.uint8), both[1]], axis=1)
    note = f"{second.note}: {name_of(second.image)}"
    return Sample(first.image, np.asarray(picture, np.uint8), note)
