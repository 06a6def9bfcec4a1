"""Files that were tampered with: they are used, or refused in one line. `benchmarks/hostile.py` tries many more."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from pipeline.errors import TallycamError
from tests.hostile_files import KINDS, Kind


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_file_that_was_tampered_with_is_used_or_refused_in_one_line(kind: Kind, tmp_path: Path) -> None:
    path, data = tmp_path / kind.name, kind.make()
    path.write_bytes(data)
    kind.use(path)  # as it is, it is right
    changed = 0
    for seed in range(150):
        content = kind.change(data, seed)
        changed += content != data
        path.write_bytes(content)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                kind.use(path)
        except TallycamError as error:
            lines = str(error).splitlines()  # a configuration has a line for each mistake
            assert lines and all(line.isprintable() and len(line) < 2000 for line in lines), (
                seed,
                str(error),
            )
    assert changed > 130
