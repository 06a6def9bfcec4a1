"""What `tallycam train` prints: a bar with losses and the time left on a terminal, lines elsewhere."""

from __future__ import annotations

import time
from collections import deque
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from pipeline.evaluation.report import Evaluation, rich_table
from pipeline.finetuning.data import TrainingData
from pipeline.finetuning.distributed import Team
from pipeline.finetuning.fit import Step
from pipeline.finetuning.folder import TrainingFolder
from pipeline.finetuning.new_heads import StartNetwork
from pipeline.finetuning.settings import Settings
from pipeline.finetuning.training_checkpoint import Course

LINES = 30
"""Lines of progress where there is no terminal."""
AVERAGED = 20
"""Steps over which losses and speed are averaged."""


class Reporter:
    """Tells how a training goes; use it as a context.

    Args:
        settings: of the training.
        data: of the training.
        folder: of the training.
        team: only its leader prints.
    """

    def __init__(self, settings: Settings, data: TrainingData, folder: TrainingFolder, team: Team) -> None:
        self._settings, self._data, self._folder, self._team = settings, data, folder, team
        self._console = Console()
        self._recent: deque[Step] = deque(maxlen=AVERAGED)
        self._best = -1.0
        self._began_s, self._done_before, self._done = time.monotonic(), 0, 0
        columns = (BarColumn(16), MofNCompleteColumn(), TextColumn("{task.description}"))
        self._progress = Progress(*columns, console=self._console)
        self._bar = self._progress.add_task("", total=settings.steps)
        self._live = self._console.is_terminal and team.leads

    def __enter__(self) -> Self:
        if self._live:
            self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._progress.stop()

    def begun(self, start: StartNetwork, course: Course) -> None:
        """Prints what is trained on what."""
        data, settings = self._data, self._settings
        for note in data.notes:
            self._say(note, "yellow")
        learnt, held_out = data.counts(data.train), data.counts(data.val)
        self._say(f"{len(data.train)} images to learn from, {len(data.val)} to evaluate on")
        for name in data.classes:
            kept = ", known to the weights" if name in start.kept else ""
            self._say(f"  {name}: {learnt[name]} and {held_out[name]} objects{kept}")
        epochs = settings.steps * settings.images_per_step / len(data.train)
        device = f"{self._team.size} x {self._team.device}" if self._team.size > 1 else str(self._team.device)
        self._say(
            f"{settings.steps} steps of {settings.images_per_step} images ({epochs:.1f} times each) on {device}"
        )
        self._done = self._done_before = course.step
        self._best = course.best
        if course.ended:
            self._say("this training has ended before; it is evaluated again")
        elif course.step:
            self._say(f"going on after step {course.step}")
        self._began_s = time.monotonic()

    def step(self, step: Step) -> None:
        """Moves the bar, or prints a line now and then."""
        self._recent.append(step)
        self._done = step.number
        names = list(step.losses)
        mean = {name: sum(one.losses[name] for one in self._recent) / len(self._recent) for name in names}
        parts = " ".join(f"{name} {value:.3f}" for name, value in mean.items())
        best = f"  best AP {self._best:.1f}" if self._best >= 0 else ""
        words = f"{self._left()} left{best}  loss {sum(mean.values()):.3f} ({parts})"
        if self._live:
            self._progress.update(self._bar, completed=step.number, description=words)
        elif step.number % max(1, self._settings.steps // LINES) == 0 or step.number == self._settings.steps:
            self._say(f"step {step.number}/{self._settings.steps}  {words}")

    def evaluated(self, step: int, figures: dict[str, float]) -> None:
        """Prints an evaluation."""
        better = figures["AP"] > self._best
        self._best = max(self._best, figures["AP"])
        words = "  ".join(f"{name} {value:.1f}" for name, value in figures.items())
        self._say(
            f"after step {step}: {words}{'  (best so far)' if better else ''}", "bold" if better else ""
        )

    def ended(self, report: Evaluation | None) -> None:
        """Prints the tables of the final evaluation, or where training was stopped."""
        if self._live:
            self._progress.stop()
        if not self._team.leads:
            return
        if report is None:
            self._say(f"stopped after step {self._done}; the same command goes on from there")
            return
        for sheet in report.sheets:
            self._console.print(rich_table(sheet), crop=False)
        self._say(
            f"The model is {self._folder.best}, its card {self._folder.card}, "
            f"the evaluation {self._folder.evaluation.with_suffix('.html')}"
        )

    def _left(self) -> str:
        """Time left in words, evaluations included: from what the steps so far took as a whole."""
        done = self._done - self._done_before
        seconds = (time.monotonic() - self._began_s) / max(1, done) * (self._settings.steps - self._done)
        return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"

    def _say(self, words: str, style: str = "") -> None:
        self._console.print(words, style=style, highlight=False, markup=False, soft_wrap=True)
