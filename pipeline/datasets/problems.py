"""What is wrong with a dataset: each fault with its file and record, so that it can be found and mended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.errors import TallycamError


class DatasetError(TallycamError):
    """A dataset that cannot be used at all (exit code 2)."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault.

    Attributes:
        kind: in two or three words, the same for all faults of its kind: `missing image`.
        where: file and record: `instances.json: annotations[3] (id 17)`, `labels/a.txt:4`.
        text: what came, and what was expected.
        left_out: whether the record is not in the dataset because of it.
    """

    kind: str
    where: str
    text: str
    left_out: bool = True

    def __str__(self) -> str:
        return f"{self.where}: {self.text}" + (" (left out)" if self.left_out else "")


class Problems:
    """Collects faults while a dataset is read."""

    def __init__(self) -> None:
        self.found: list[Problem] = []

    def add(self, kind: str, where: str, text: str, *, left_out: bool = True) -> None:
        """Adds a fault; see `Problem`."""
        self.found.append(Problem(kind, where, text, left_out))

    def __iter__(self) -> Iterator[Problem]:
        return iter(self.found)


def kinds(problems: tuple[Problem, ...]) -> dict[str, int]:
    """Number of faults of each kind, the most frequent first."""
    return dict(Counter(problem.kind for problem in problems).most_common())
