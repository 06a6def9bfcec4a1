"""The folder of a training: what is in it, and whether a training goes on in it."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import ConfigError
from pipeline.files import make_folder, open_lock, reading, write_text, writing
from pipeline.finetuning.data import TrainingData
from pipeline.finetuning.settings import Settings


@dataclass(frozen=True, slots=True)
class TrainingFolder:
    """Names of the files.

    Attributes:
        path: the folder.
    """

    path: Path

    @property
    def best(self) -> Path:
        """The averaged weights with the highest AP."""
        return self.path / "best.safetensors"

    @property
    def last(self) -> Path:
        """The averaged weights at the last evaluation."""
        return self.path / "last.safetensors"

    @property
    def card(self) -> Path:
        """The model card."""
        return self.path / "README.md"

    @property
    def checkpoint(self) -> Path:
        """The state from which a training goes on."""
        return self.path / "checkpoint.pt"

    @property
    def history(self) -> Path:
        """A line of JSON for each step, and one for each evaluation."""
        return self.path / "history.jsonl"

    @property
    def about(self) -> Path:
        """What is trained on what."""
        return self.path / "training.json"

    @property
    def evaluation(self) -> Path:
        """The figures of the final evaluation; the page is beside it."""
        return self.path / "evaluation.json"

    @property
    def worst(self) -> Path:
        """Folder of the pictures in which most is wrong."""
        return self.path / "worst"

    @property
    def tensorboard(self) -> Path:
        """Folder of TensorBoard's events."""
        return self.path / "tensorboard"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps other trainings out of the folder for as long as the block runs.

        Raises:
            ConfigError: one is running in it.
            OutputError: the folder cannot be written.
        """
        advice = "give another folder with --out"
        make_folder(self.path, advice)
        with writing(self.path, advice):
            descriptor = open_lock(self.path / ".lock")
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ConfigError(f"{self.path}: another training is running in it; {advice}") from None
            yield
        finally:
            os.close(descriptor)

    def open(self, settings: Settings, data: TrainingData, start: str, *, overwrite: bool) -> bool:
        """Prepares the folder.

        Args:
            settings: of this training.
            data: of this training.
            start: what the weights to start from are.
            overwrite: remove an earlier training.

        Returns:
            Whether an earlier training goes on.

        Raises:
            ConfigError: it holds a training with other settings or other data.
            OutputError: it cannot be written.
        """
        advice = "give another folder with --out"
        make_folder(self.path, advice)
        asked = json.loads(json.dumps({**asdict(settings), "start": start, "data": data.digest()}))
        if overwrite:
            for file in (
                self.about,
                self.checkpoint,
                self.history,
                self.best,
                self.last,
                self.card,
                self.evaluation,
            ):
                file.unlink(missing_ok=True)
        earlier = self._earlier()
        if earlier is None:
            self.history.unlink(missing_ok=True)
            write_text(self.about, json.dumps(asked, indent=2) + "\n", advice=advice)
            return False
        for key in sorted(asked.keys() | earlier.keys()):
            if asked.get(key) != earlier.get(key):
                raise ConfigError(
                    f"{self.path}: holds a training with {_shown(key, earlier)}, this one has {_shown(key, asked)}; "
                    "give another folder with --out, or --overwrite to begin anew"
                )
        return True

    def _earlier(self) -> Mapping[str, Any] | None:
        """What an earlier training in the folder was; None if there was none that can go on."""
        if not (self.about.is_file() and self.checkpoint.is_file()):
            return None
        with reading(self.about, ConfigError):
            text = self.about.read_text(encoding="utf-8")
        try:
            content = json.loads(text)
        except ValueError:
            content = None
        if not isinstance(content, dict):
            raise ConfigError(f"{self.about}: damaged; give another folder with --out, or --overwrite")
        return content


def _shown(key: str, values: Mapping[str, Any]) -> str:
    if key == "data":
        return "other images or labels"
    value = values.get(key)
    return f"{key} {', '.join(value) if isinstance(value, list) else value}"
