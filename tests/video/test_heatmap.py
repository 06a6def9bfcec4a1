"""The picture of where objects went."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.config.schema import StreamConfig, ZoneConfig
from pipeline.errors import OutputError
from pipeline.records.heat_file import read_heat, write_heat
from pipeline.runtime.heatmaps import write_heatmap
from pipeline.transport.planes import Planes
from pipeline.video.heatmap import read_background, render_heatmap, save_background, write_image

STREAM = StreamConfig(
    source="camera:0", zones={"yard": ZoneConfig(points=((0.6, 0.1), (0.9, 0.1), (0.9, 0.4)))}
)
GREY = np.full((360, 640, 3), 120, np.uint8)


def spot(row: int, column: int, seconds: float = 5.0) -> np.ndarray:
    cells = np.zeros((72, 128))
    cells[row, column] = seconds
    return cells


def warm(picture: np.ndarray) -> np.ndarray:
    """Where it is red or yellow rather than grey."""
    return picture[..., 0].astype(int) - picture[..., 2] > 60


def test_it_is_warm_where_objects_were_and_nowhere_else() -> None:
    picture = render_heatmap(GREY, {"person": spot(20, 30)}, STREAM, "gate")
    scale = picture.shape[1] / 128
    rows, columns = np.nonzero(warm(picture[: picture.shape[0] * 3 // 4]))
    assert (rows.mean() / scale, columns.mean() / scale) == pytest.approx((20.5, 30.5), abs=0.6)
    assert rows.max() / scale < 26


def test_a_path_walked_once_is_seen_beside_a_spot_where_many_stood() -> None:
    cells = spot(20, 30, 1000.0)
    cells[50, 20:100] = 40.0
    picture = render_heatmap(GREY, {"person": cells}, STREAM, "gate")
    scale = picture.shape[1] / 128
    assert not np.array_equal(
        picture[int(50.5 * scale), int(60 * scale)], picture[int(60 * scale), int(110 * scale)]
    )


def test_without_objects_it_is_the_frame_with_lines_and_zones() -> None:
    picture = render_heatmap(GREY, {}, STREAM, "gate")
    assert not warm(picture[: picture.shape[0] * 3 // 4]).any()


def test_a_run_keeps_heat_and_view_for_it(tmp_path: Path) -> None:
    heat = {"person": spot(20, 30), "cell phone": spot(4, 5)}
    write_heat(tmp_path / "gate.heat", heat)
    again = read_heat(tmp_path / "gate.heat")
    assert sorted(again) == ["cell phone", "person"]
    assert np.allclose(again["person"], heat["person"])
    save_background(tmp_path / "gate.jpg", Planes.from_rgb(GREY))
    view = read_background(tmp_path / "gate.jpg")
    assert view is not None and abs(view.astype(int) - 120).max() < 4
    write_heatmap(tmp_path / "gate.png", "gate", STREAM, again, tmp_path / "gate.jpg")
    assert read_background(tmp_path / "gate.png") is not None


def test_without_a_frame_it_is_drawn_over_nothing(tmp_path: Path) -> None:
    write_heatmap(
        tmp_path / "a.png", "gate", STREAM, {"person": spot(20, 30)}, tmp_path / "none.jpg", (320, 240)
    )
    picture = read_background(tmp_path / "a.png")
    assert picture is not None
    assert picture.shape[1] / picture.shape[0] == pytest.approx(4 / 3)


def test_what_is_no_heat_is_none_and_what_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "bad.heat").write_bytes(b"no")
    assert read_heat(tmp_path / "bad.heat") == read_heat(tmp_path / "none.heat") == {}
    with pytest.raises(OutputError, match="none/a.png: cannot be written: No such file"):
        write_image(tmp_path / "none" / "a.png", GREY)
    with pytest.raises(OutputError, match=r"expected \.png or \.jpg"):
        write_image(tmp_path / "a.txt", GREY)
    with pytest.raises(OutputError, match="cannot be written"):
        write_heat(tmp_path / "none" / "a.heat", {})
