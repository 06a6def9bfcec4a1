"""The page of an audit: a card for each event, marks by button or key, and the precision they give. Works offline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.audit.marks import MARKS, group_of
from pipeline.audit.strips import Strip
from pipeline.evaluation.report_page import render

TEMPLATES = Path(__file__).parent / "templates"
MOMENTS = ("before", "at the event", "after")


@dataclass(frozen=True, slots=True)
class CardPicture:
    """One of the three pictures of a card.

    Attributes:
        when: `before`, `at the event` or `after`.
        caption: the text below it.
        url: a data URL; empty if the frame could not be read.
    """

    when: str
    caption: str
    url: str


@dataclass(frozen=True, slots=True)
class Card:
    """An event and its three pictures as data URLs; empty if a frame could not be read."""

    strip: Strip
    pictures: tuple[str, str, str]

    @property
    def group(self) -> str:
        """The stream and line or zone that the event belongs to."""
        return group_of(self.strip.event)

    @property
    def what(self) -> str:
        """What was counted: `door: in`."""
        event = self.strip.event
        return f"{event['name']}: {event['direction']}" if event["kind"] in ("line", "zone") else "new object"

    @property
    def time(self) -> str:
        """Media time of the event: `1:02:03.45`."""
        hours, rest = divmod(float(self.strip.event["pts_s"]), 3600)
        minutes, seconds = divmod(rest, 60)
        return (
            f"{int(hours)}:{int(minutes):02d}:{seconds:05.2f}" if hours else f"{int(minutes)}:{seconds:05.2f}"
        )

    @property
    def shots(self) -> list[CardPicture]:
        """The pictures with their captions."""
        at_s = float(self.strip.event["pts_s"])
        found = []
        for shot, when, url in zip(self.strip.shots, MOMENTS, self.pictures, strict=True):
            caption = when
            if when != MOMENTS[1]:
                apart_s = shot.pts_s - at_s
                caption += f", {apart_s:+.2f} s" if apart_s else ": no frame"
            found.append(CardPicture(when, caption + ("" if shot.box_px is not None else ", not seen"), url))
        return found


@dataclass(frozen=True, slots=True)
class Heading:
    """What the page says about itself.

    Attributes:
        run: name of the run, under which the browser keeps the marks.
        subject: which run, in words.
        counted: number of events that could have been shown.
        groups: line or zone -> number of its events in the run.
        sample: how many events were drawn; None: all are shown.
        seed: of the random draw.
        notes: what a reader must know.
    """

    run: str
    subject: str
    counted: int
    groups: Mapping[str, int]
    sample: int | None
    seed: int
    notes: tuple[str, ...]


def audit_page(heading: Heading, cards: Sequence[Card]) -> str:
    """Render the page.

    Args:
        heading: what the page says about itself.
        cards: the events, in the order in which they are shown.

    Returns:
        HTML.
    """
    return render(
        "audit.html",
        "Is each count correct?",
        TEMPLATES,
        css=(TEMPLATES / "audit.css").read_text(encoding="utf-8"),
        heading=heading,
        cards=cards,
        marks=MARKS,
        info={
            "run": heading.run,
            "counted": heading.counted,
            "groups": dict(heading.groups),
            "sample": heading.sample,
            "seed": heading.seed,
            "marks": MARKS,
        },
        script=(TEMPLATES / "audit.js").read_text(encoding="utf-8"),
    )
