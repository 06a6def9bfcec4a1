"""Specification shared by the processes of one run, passed as a file that only this user can read."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
from dataclasses import dataclass
from pathlib import Path

from pipeline.config.schema import Config
from pipeline.logs.line import LogFormat
from pipeline.stages.placement import Placement

_NO_STREAM = {"none": {"source": "none"}}
"""For the validation of a run whose only streams are just being changed."""


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
        placement: Of the streams; None: as at the start of a run.
        revision: How often the streams were changed.
    """

    config: Config
    out: Path
    run: str
    classes: tuple[str, ...]
    tracks: Path | None = None
    log_level: int = logging.INFO
    log_form: LogFormat = LogFormat.TEXT
    placement: Placement | None = None
    revision: int = 0

    @property
    def places(self) -> Placement:
        """The placement of the streams."""
        return self.placement or Placement.of(self.config)

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
                "placement": dataclasses.asdict(self.places),
                "revision": self.revision,
            }
        )
        part = path.with_name(f"{path.name}.part")
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        part.replace(path)  # a process that is just being started reads the file of before, or this one

    @classmethod
    def read(cls, path: Path) -> RunSpec:
        """Reads what `write` wrote.

        Args:
            path: The file.

        Raises:
            OSError: It cannot be read.
        """
        data = json.loads(path.read_text(encoding="utf-8"))
        streams = data["config"]["streams"]
        config = Config.model_validate(data["config"] | {"streams": streams or _NO_STREAM})
        return cls(
            config=config if streams else config.model_copy(update={"streams": {}}),
            out=Path(data["out"]),
            run=data["run"],
            classes=tuple(data["classes"]),
            tracks=Path(data["tracks"]) if data["tracks"] else None,
            log_level=data["log_level"],
            log_form=LogFormat(data["log_form"]),
            placement=Placement(**data["placement"]),
            revision=data["revision"],
        )
