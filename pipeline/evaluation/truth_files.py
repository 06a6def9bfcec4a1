"""Ground truth in JSON files, plain or gzipped, such as that of rendered scenes."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import msgspec

from pipeline.evaluation.report import EvaluationError
from pipeline.files import reading
from pipeline.records.scene_truth import SceneTruth


def read_json(path: Path) -> Any:
    """Read a `.json` or `.json.gz` file.

    Raises:
        EvaluationError: it cannot be read or is not JSON.
    """
    try:
        with reading(path, EvaluationError):
            raw = path.read_bytes()
            return json.loads(gzip.decompress(raw) if path.suffix == ".gz" else raw)
    except (ValueError, EOFError) as error:
        raise EvaluationError(f"{path}: is not JSON: {error}") from None


def scene_truth(path: Path, data: Any) -> SceneTruth:
    """The truth of a rendered scene from its JSON values.

    Args:
        path: the file, for the error message.
        data: its content.

    Raises:
        EvaluationError: it is not the truth of a rendered scene.
    """
    try:
        return msgspec.convert(data, SceneTruth)
    except msgspec.ValidationError as error:
        raise EvaluationError(f"{path}: is not the truth of a rendered scene: {error}") from None
