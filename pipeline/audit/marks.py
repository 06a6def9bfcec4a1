"""Marks that a person gave to counted events, and the precision of the counts that follows."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import TallycamError
from pipeline.files import reading

MARKS = ("correct", "wrong", "unsure")
OLD_MARKS = {"right": "correct"}
"""Names in older files. `right` was given up because it reads like a direction."""
Z95 = 1.959963984540054
"""Two-sided 95 % quantile of the standard normal distribution."""


class AuditError(TallycamError):
    """A run that cannot be shown, or marks that do not belong to it (exit code 2)."""


@dataclass(frozen=True, slots=True)
class Precision:
    """How many of a group of counted events are correct.

    Attributes:
        name: the stream and its line or zone, or `all`.
        counted: events in the run.
        correct, wrong, unsure: events with this mark; unsure ones are not part of the precision.
    """

    name: str
    counted: int
    correct: int
    wrong: int
    unsure: int

    @property
    def judged(self) -> int:
        """Events marked correct or wrong."""
        return self.correct + self.wrong

    @property
    def share(self) -> float:
        """Share of the judged events that are correct, 0..1; NaN if none is judged."""
        return self.correct / self.judged if self.judged else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """95 % confidence interval of the share in footage like this."""
        return wilson(self.correct, self.judged)

    @property
    def run_interval(self) -> tuple[float, float]:
        """95 % confidence interval of the share among the events of this run, a finite population."""
        return wilson(self.correct, self.judged, self.counted)


def wilson(correct: int, judged: int, counted: int | None = None) -> tuple[float, float]:
    """95 % score interval of a binomial proportion (Wilson, 1927).

    Args:
        correct: number of successes among `judged`.
        judged: number of trials.
        counted: size of the finite population that `judged` was drawn from without replacement, if the interval is
            for that population: applies the finite population correction. None: an infinite population.

    Returns:
        Lower and upper bound, 0..1; (0, 1) if nothing was judged.
    """
    if not judged:
        return 0.0, 1.0
    share, size = correct / judged, float(judged)
    if counted is not None:
        if judged >= counted:
            return share, share
        size *= (counted - 1) / (counted - judged)
    z2 = Z95 * Z95 / size
    middle = (share + z2 / 2) / (1 + z2)
    reach = Z95 / (1 + z2) * math.sqrt(share * (1 - share) / size + z2 / (4 * size))
    return max(0.0, middle - reach), min(1.0, middle + reach)


def sample(events: Sequence[Mapping[str, Any]], size: int | None, seed: int) -> list[Mapping[str, Any]]:
    """Draw events at random.

    Args:
        events: the events to draw from.
        size: how many; None, or more than there are: all.
        seed: the same seed draws the same events.

    Returns:
        The events in their order.
    """
    if size is None or size >= len(events):
        return list(events)
    by_key = sorted(range(len(events)), key=lambda place: str(events[place]["key"]))
    return [events[place] for place in sorted(random.Random(seed).sample(by_key, size))]


def read_marks(path: Path, run: str) -> dict[str, str]:
    """Read the marks saved by the page.

    Args:
        path: the file, `marks.json`.
        run: name of the run whose marks are expected.

    Returns:
        Key of an event -> `correct`, `wrong` or `unsure`.

    Raises:
        AuditError: it cannot be read, or belongs to another run.
    """
    try:
        with reading(path, AuditError):
            data = json.loads(path.read_text(encoding="utf-8"))
        marks = {str(key): OLD_MARKS.get(str(mark), str(mark)) for key, mark in data["marks"].items()}
        marked_run = str(data["run"])
    except (ValueError, KeyError, TypeError, AttributeError):
        raise AuditError(f"{path}: holds no marks; save them on the page with `Save marks`") from None
    if marked_run != run:
        raise AuditError(f"{path}: holds marks of the run {marked_run}, this is {run}")
    if bad := sorted(set(marks.values()) - set(MARKS)):
        raise AuditError(f"{path}: got the mark {bad[0]}, expected {', '.join(MARKS)}")
    return marks


def precisions(events: Sequence[Mapping[str, Any]], marks: Mapping[str, str]) -> list[Precision]:
    """The precision of each line and zone, and of all events at the end.

    Args:
        events: all counted events.
        marks: key of an event -> mark.

    Raises:
        AuditError: a mark belongs to no event.
    """
    if strange := sorted(marks.keys() - {str(event["key"]) for event in events}):
        raise AuditError(f"{len(strange)} marks belong to no event of this run, the first is {strange[0]}")
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for event in events:
        groups.setdefault(group_of(event), []).append(event)
    parts = [_precision(name, group, marks) for name, group in sorted(groups.items())]
    return [*parts, _precision("all", events, marks)]


def group_of(event: Mapping[str, Any]) -> str:
    """The group in which an event is counted: its stream, and its line or zone."""
    what = event["name"] or "unique"
    return f"{event['stream']}: {what}"


def _precision(name: str, events: Iterable[Mapping[str, Any]], marks: Mapping[str, str]) -> Precision:
    given = [marks.get(str(event["key"]), "") for event in events]
    return Precision(name, len(given), *(given.count(mark) for mark in MARKS))
