"""What the processes of one run have in common, as a file that only this user can read."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from pipeline.config.schema import Config


@dataclass(frozen=True, slots=True)
class RunSpec:
    """One run.

    Attributes:
        out: folder of the results.
        run: its name; events carry it.
        classes: of the model.
        tracks: where MOTChallenge rows go, if wanted.
    """

    config: Config
    out: Path
    run: str
    classes: tuple[str, ...]
    tracks: Path | None = None

    def write(self, path: Path) -> None:
        """The configuration may hold passwords: nobody else may read it."""
        text = json.dumps(
            {
                "config": self.config.model_dump(mode="json"),
                "out": str(self.out),
                "run": self.run,
                "classes": self.classes,
                "tracks": str(self.tracks) if self.tracks else None,
            }
        )
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)

    @classmethod
    def read(cls, path: Path) -> RunSpec:
        data = json.loads(path.read_text(encoding="utf-8"))
        return cls(
            config=Config.model_validate(data["config"]),
            out=Path(data["out"]),
            run=data["run"],
            classes=tuple(data["classes"]),
            tracks=Path(data["tracks"]) if data["tracks"] else None,
        )
