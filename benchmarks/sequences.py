"""Unique counts, their margins and tracks on folders of MOTChallenge sequences, all with the same settings.

    python -m benchmarks.sequences FOLDER...

Each FOLDER holds sequences: folders with `det.txt` and `gt.txt`, and `seqinfo.ini` for the frame rate if known.
A margin is true where the number of true objects lies within `n ± m`; true objects that no detection shows count as
well. Writes benchmarks/results/sequences.json.
"""

from __future__ import annotations

import sys
from pathlib import Path

if not __package__:  # run as a file: `import pipeline` must not find the neighbour of that name
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import argparse
import tempfile
from typing import Any

from benchmarks.measure import save, table
from pipeline.config.schema import TrackerConfig
from pipeline.evaluation.detection_tracks import track_file
from pipeline.evaluation.track_files import SequenceFiles
from pipeline.evaluation.track_scores import score_tracks


def measure(folder: Path) -> dict[str, Any]:
    """Figures of all sequences in a folder, and of the whole."""
    with tempfile.TemporaryDirectory() as work:
        margins, files = {}, []
        for sequence in sorted(path.parent for path in folder.glob("*/gt.txt")):
            tracks = Path(work) / f"{sequence.name}.txt"
            margins[sequence.name] = track_file(sequence / "det.txt", tracks, TrackerConfig()).uncertainty
            files.append((SequenceFiles(sequence.name, sequence / "gt.txt", tracks), ()))
        scores = score_tracks(files)
    sequences = {
        one.name: {
            "counted": one.unique_counted,
            "margin": margins[one.name],
            "true": one.unique_true,
            "within": abs(one.unique_counted - one.unique_true) <= margins[one.name],
            "switches": one.switches,
            "hota": round(one.hota, 1),
            "idf1": round(one.idf1, 1),
        }
        for one in scores.sequences
    }
    every = list(sequences.values())
    return {
        "sequences": sequences,
        "unique_error": round(100 * scores.total.unique_off / scores.total.unique_true, 1),
        "hota": round(scores.total.hota, 1),
        "idf1": round(scores.total.idf1, 1),
        "switches": scores.total.switches,
        "margin_within": f"{sum(one['within'] for one in every)} of {len(every)}",
        "margin_of_unique": round(
            100 * sum(one["margin"] / max(1, one["counted"]) for one in every) / len(every), 1
        ),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Unique counts on folders of sequences.")
    parser.add_argument("folders", metavar="FOLDER", nargs="+", type=Path)
    found = {folder.name: measure(folder) for folder in parser.parse_args().folders}
    for name, figures in found.items():
        table(
            name,
            ("sequence", "counted", "true", "switches", "HOTA", "IDF1"),
            [
                (
                    sequence,
                    f"{one['counted']} ± {one['margin']}" + ("" if one["within"] else " !"),
                    *(one[key] for key in ("true", "switches", "hota", "idf1")),
                )
                for sequence, one in figures["sequences"].items()
            ],
        )
    table(
        "All sequences of a folder",
        (
            "folder",
            "unique error, %",
            "HOTA",
            "IDF1",
            "switches",
            "truth in the margin",
            "margin, % of unique",
        ),
        [(name, *list(figures.values())[1:]) for name, figures in found.items()],
    )
    save("sequences", found)


if __name__ == "__main__":
    main()
