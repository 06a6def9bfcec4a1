"""What a person said of counted events, and how precise the counts are by that."""

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

MARKS = ("right", "wrong", "unsure")
Z95 = 1.959963984540054
"""Standard deviations on either side that hold 95 % of a normal distribution."""


class AuditError(TallycamError):
    """A run that cannot be shown, or marks that are none of its (exit code 2)."""


@dataclass(frozen=True, slots=True)
class Precision:
    """How many of some counted events are right.

    Attributes:
        name: of the line or zone, or `all`.
        counted: events of the run.
        right, wrong, unsure: as marked; unsure ones are left out of the precision.
    """

    name: str
    counted: int
    right: int
    wrong: int
    unsure: int

    @property
    def judged(self) -> int:
        return self.right + self.wrong

    @property
    def share(self) -> float:
        """Part of the judged events that are right, 0..1; NaN without any."""
        return self.right / self.judged if self.judged else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the share, for footage like this."""
        return wilson(self.right, self.judged)

    @property
    def run_interval(self) -> tuple[float, float]:
        """95 % interval of the share among this very run's events: as narrow as the sample is large."""
        return wilson(self.right, self.judged, self.counted)


def wilson(right: int, judged: int, counted: int | None = None) -> tuple[float, float]:
    """Wilson's score interval of a share, 95 % (Wilson 1927).

    Args:
        right: of `judged`.
        judged: 0 gives (0, 1).
        counted: size of the whole that `judged` was drawn from, if that is what the interval is to tell of
            (finite population correction); nothing is uncertain when all were judged.
    """
    if not judged:
        return 0.0, 1.0
    share, size = right / judged, float(judged)
    if counted is not None:
        if judged >= counted:
            return share, share
        size *= (counted - 1) / (counted - judged)
    z2 = Z95 * Z95 / size
    middle = (share + z2 / 2) / (1 + z2)
    reach = Z95 / (1 + z2) * math.sqrt(share * (1 - share) / size + z2 / (4 * size))
    return max(0.0, middle - reach), min(1.0, middle + reach)


def sample(events: Sequence[Mapping[str, Any]], size: int | None, seed: int) -> list[Mapping[str, Any]]:
    """`size` events drawn at random, in their order; all where there are no more. A seed draws the same ones again."""
    if size is None or size >= len(events):
        return list(events)
    by_key = sorted(range(len(events)), key=lambda place: str(events[place]["key"]))
    return [events[place] for place in sorted(random.Random(seed).sample(by_key, size))]


def read_marks(path: Path, run: str) -> dict[str, str]:
    """Key of an event -> `right`, `wrong` or `unsure`, from what the page has saved.

    Raises:
        AuditError: it cannot be read, or is of another run.
    """
    try:
        with reading(path, AuditError):
            data = json.loads(path.read_text(encoding="utf-8"))
        marks = {str(key): str(mark) for key, mark in data["marks"].items()}
        marked_run = str(data["run"])
    except (ValueError, KeyError, TypeError, AttributeError):
        raise AuditError(f"{path}: holds no marks; save them on the page with `Save marks`") from None
    if marked_run != run:
        raise AuditError(f"{path}: holds marks of the run {marked_run}, this is {run}")
    if bad := sorted(set(marks.values()) - set(MARKS)):
        raise AuditError(f"{path}: got the mark {bad[0]}, expected {', '.join(MARKS)}")
    return marks


def precisions(events: Sequence[Mapping[str, Any]], marks: Mapping[str, str]) -> list[Precision]:
    """By line and zone, and of all at the end.

    Raises:
        AuditError: a mark is of no event.
    """
    if strange := sorted(marks.keys() - {str(event["key"]) for event in events}):
        raise AuditError(f"{len(strange)} marks are of no event of this run, the first is {strange[0]}")
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for event in events:
        groups.setdefault(group_of(event), []).append(event)
    parts = [_precision(name, group, marks) for name, group in sorted(groups.items())]
    return [*parts, _precision("all", events, marks)]


def group_of(event: Mapping[str, Any]) -> str:
    """What an event is summed up under: its stream, and its line or zone."""
    what = event["name"] or "unique"
    return f"{event['stream']}: {what}"


def _precision(name: str, events: Iterable[Mapping[str, Any]], marks: Mapping[str, str]) -> Precision:
    given = [marks.get(str(event["key"]), "") for event in events]
    return Precision(name, len(given), *(given.count(mark) for mark in MARKS))
