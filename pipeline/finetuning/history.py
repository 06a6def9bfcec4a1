"""The losses and evaluations of a training as lines of JSON, and for TensorBoard where it is installed."""

from __future__ import annotations

import json
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

from pipeline.errors import ConfigError
from pipeline.files import write_text, writing
from pipeline.finetuning.fit import Step


class History:
    """Appends to the history of a training; use it as a context.

    Args:
        path: the file; what it has of steps after `step` is dropped.
        step: steps that are done.
        tensorboard: folder for TensorBoard; None: without.

    Raises:
        ConfigError: TensorBoard is wanted and not installed.
        OutputError: the file cannot be written.
    """

    def __init__(self, path: Path, step: int, tensorboard: Path | None = None) -> None:
        self._board = _board(tensorboard, step) if tensorboard is not None else None
        kept = [line for line in _lines(path) if _step(line) <= step]
        write_text(path, "".join(line + "\n" for line in kept))
        self._path = path
        with writing(path):
            self._file: TextIO = path.open("a", encoding="utf-8", buffering=1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        if self._board is not None:
            self._board.close()

    def step(self, step: Step) -> None:
        """Appends the losses of a step."""
        self._append({
            "step": step.number, "loss": step.loss, "losses": step.losses, "learning_rate": step.learning_rate,
        })  # fmt: skip
        if self._board is not None:
            for name, value in {**step.losses, "sum": step.loss}.items():
                self._board.add_scalar(f"loss/{name}", value, step.number)
            self._board.add_scalar("learning rate", step.learning_rate, step.number)

    def evaluation(self, step: int, figures: dict[str, float]) -> None:
        """Appends an evaluation.

        Args:
            step: steps done.
            figures: percent.
        """
        self._append({"step": step, "evaluation": figures})
        if self._board is not None:
            for name, value in figures.items():
                self._board.add_scalar(f"evaluation/{name}", value, step)

    def _append(self, record: dict[str, Any]) -> None:
        with writing(self._path, "make room, and start the same command again"):
            self._file.write(json.dumps(record) + "\n")


def _lines(path: Path) -> list[str]:
    """The whole lines of an earlier history; the last one may be cut short by a kill."""
    if not path.is_file():
        return []
    return [line for line in path.read_text(encoding="utf-8").splitlines() if line.endswith("}")]


def _step(line: str) -> int:
    try:
        return int(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return 0


def _board(folder: Path, step: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ConfigError(
            "--tensorboard: TensorBoard is not installed; install it with pip install tensorboard"
        ) from error
    return SummaryWriter(str(folder), purge_step=step + 1)
