"""Tracks of six public sequences from their public detections, at the settings that ship, against their truth."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.config.schema import TrackerConfig
from pipeline.evaluation.detection_tracks import track_file
from pipeline.evaluation.track_files import pair
from pipeline.evaluation.track_scores import score_tracks, vertical_lines

RATES = {
    "TUD-Stadtmitte": 25.0,
    "PETS09-S2L1": 7.0,
    "KITTI-17": 10.0,
    "ETH-Sunnyday": 14.0,
    "ADL-Rundle-8": 30.0,
    "ETH-Pedcross2": 14.0,
}
STILL = {"TUD-Stadtmitte": (640, 480), "PETS09-S2L1": (768, 576), "KITTI-17": (1224, 370)}
"""Sizes of the frames where the camera stands still."""


@pytest.mark.slow
@pytest.mark.parametrize("told", [True, False], ids=["with the frame rate", "without"])
def test_public_detections_are_tracked_and_counted_better_than_by_any_peer(
    shared_data: Path, tmp_path: Path, told: bool
) -> None:
    pytest.importorskip("trackeval", reason="needs the extra `evaluation`")
    for name, fps in RATES.items():
        track_file(
            shared_data / "mot15" / name / "det.txt",
            tmp_path / f"{name}.txt",
            TrackerConfig(),
            fps=fps if told else None,
        )
    files = pair([shared_data / "mot15"], [tmp_path], [])
    scores = score_tracks(
        [
            (one, vertical_lines((0.25, 0.5, 0.75), STILL[one.name]) if one.name in STILL else ())
            for one in files
        ]
    )
    total = scores.total
    # the best of SORT, ByteTrack, OC-SORT, BoT-SORT and C-BIoU on the same boxes: 96.7, 39.1, 51.6 and 43.2 %
    assert scores.line_f1 > 96.7
    assert total.hota > 39.1 and total.idf1 > 51.6
    assert total.unique_off <= 0.432 * total.unique_true
