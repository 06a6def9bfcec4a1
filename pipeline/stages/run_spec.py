"""Specification shared by the processes of one run, passed as a file that only this user can read."""

from __future__ import annotations

import json
import logging
import os
from dataclasses import dataclass
from pathlib import Path

from pipeline.config.schema import Config
from pipeline.logs.line import LogFormat


@dataclass(frozen=True, slots=True)
class RunSpec:
    """One run.

    Attributes:
        config: Its configuration.
        out: Folder of the results.
        run: Identifier of the run; events carry it.
        classes: Class names of the model.
        tracks: File for MOTChallenge rows, if they are wanted.
        log_level: Lowest level that stages log, as in `logging`.
        log_form: Form of the lines in the log file.
    """

    config: Config
    out: Path
    run: str
    classes: tuple[str, ...]
    tracks: Path | None = None
    log_level: int = logging.INFO
    log_form: LogFormat = LogFormat.TEXT

    def write(self, path: Path) -> None:
        """Writes the file with mode 0600, since the configuration may hold passwords.

        Args:
            path: Replaced if it exists.

        Raises:
            OSError: It cannot be written.
        """
        text = json.dumps(
            {
                "config": self.config.model_dump(mode="json"),
                "out": str(self.out),
                "run": self.run,
                "classes": self.classes,
                "tracks": str(self.tracks) if self.tracks else None,
                "log_level": self.log_level,
                "log_form": self.log_form.value,
            }
        )
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)

    @classmethod
    def read(cls, path: Path) -> RunSpec:
        """Reads what `write` wrote.

        Args:
            path: The file.

        Raises:
            OSError: It cannot be read.
        """
        data = json.loads(path.read_text(encoding="utf-8"))
        return cls(
            config=Config.model_validate(data["config"]),
            out=Path(data["out"]),
            run=data["run"],
            classes=tuple(data["classes"]),
            tracks=Path(data["tracks"]) if data["tracks"] else None,
            log_level=data["log_level"],
            log_form=LogFormat(data["log_form"]),
        )
