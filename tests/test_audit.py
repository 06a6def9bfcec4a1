"""`tallycam audit`: each counted event in pictures, marked by a person, and the precision that follows."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.audit.audit_job import Selection, counted_events, make_page, run_config
from pipeline.audit.event_pictures import LINE
from pipeline.audit.frames import video_frames
from pipeline.audit.marks import AuditError, precisions, read_marks, sample, wilson
from pipeline.audit.strips import strips
from pipeline.config import load as config_load
from pipeline.config.schema import Config, VideoConfig
from pipeline.counting.counter import StreamCounter
from pipeline.records.events import EventStore
from pipeline.records.log import read_log
from pipeline.records.summary import write_json
from pipeline.runtime.run_folder import open_run
from pipeline.transport.planes import Planes, planes_bytes
from pipeline.video.video_index import VideoEntry, add_to_index, video_folder
from pipeline.video.writer import VideoWriter
from tests.in_process import Command, command_of
from tests.running import FPS, HEIGHT, WIDTH, scene, write_clip

FRAMES = 150


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    return command_of(capsys, monkeypatch)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of walkers over two lines, without video."""
    folder = tmp_path_factory.mktemp("audit")
    config = config_load.load(scene(folder, FRAMES))
    out = folder / "out"
    (out / "log").mkdir(parents=True)
    shutil.copy(folder / "made.log", out / "log" / "gate.log")
    header, records = read_log(folder / "made.log")
    counter = StreamCounter("gate", config.streams["gate"], config.tracker, header.classes)
    events = [event for record in records for event in counter.update(record).events] + counter.finish()
    with EventStore(f"sqlite:///{out / 'events.db'}", "r1") as store:
        store.write(events)
    write_json(out / "run.json", {"run": "r1", "lives": 1, "started_s": 0.0})
    write_json(out / "config.json", config.model_dump(mode="json"))
    return out


@pytest.fixture
def run(made: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return Path(shutil.copytree(made, tmp_path / "out"))


def page_of(run: Path, **selection: object) -> str:
    chosen = Selection(**selection)  # type: ignore[arg-type]
    return make_page(run, run_config(run, None), counted_events(run, chosen), chosen)


def pictures(page: str) -> list[np.ndarray]:
    """(H, W, 3) BGR."""
    found = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', page)
    return [cv2.imdecode(np.frombuffer(base64.b64decode(one), np.uint8), cv2.IMREAD_COLOR) for one in found]


def pink(image: np.ndarray) -> int:
    """Pixels of the outline and the veil over an object; the clip itself is grey."""
    blue, green, red = np.moveaxis(image.astype(int), 2, 0)
    return int(((red - green > 30) & (blue - green > 5)).sum())


def near(image: np.ndarray, colour: tuple[int, int, int]) -> int:
    """Pixels of about a colour (RGB)."""
    return int((np.abs(image[:, :, ::-1].astype(int) - colour).max(axis=2) < 60).sum())


def test_every_event_has_a_card_with_three_pictures(made: Path) -> None:
    page = page_of(made)
    events = counted_events(made, Selection())
    assert len(events) > 10
    assert page.count('<div class="card" ') == len(events)
    assert len(pictures(page)) == 3 * len(events)
    for event in events:
        assert f'data-key="{event["key"]}"' in page


def test_new_objects_are_shown_as_often_as_they_were_counted(made: Path) -> None:
    page = page_of(made, kinds=("unique",))
    events = counted_events(made, Selection(("unique",)))
    assert page.count('<div class="card" ') == len(events) > 5
    for event in events:
        assert f'data-key="{event["key"]}"' in page
    assert all(pink(shot) > 50 for shot in pictures(page)[1::3])


def test_the_line_and_the_object_are_drawn(made: Path) -> None:
    page = page_of(made, kinds=("line",), size=4)
    shots = pictures(page)
    assert all(near(shot, LINE) > 30 for shot in shots)
    assert all(pink(shot) > 50 for shot in shots[1::3])


def test_the_pictures_are_of_the_one_who_crossed(made: Path) -> None:
    config = run_config(made, None)
    events = counted_events(made, Selection(("line",)))
    for strip in strips(made / "log" / "gate.log", config, "gate", events):
        before, here, after = strip.shots
        assert before.pts_s <= here.pts_s <= after.pts_s
        assert here.mask is not None
        xs = [x for _, (x, _) in strip.path]
        assert len(xs) > 5
        sign = 1 if strip.event["direction"] == "right" else -1
        assert all(sign * (b - a) > 0 for a, b in pairwise(xs)), strip.event["key"]


def test_ids_that_have_changed_since_are_found_by_their_boxes(made: Path) -> None:
    events = [
        dict(event) | {"track": 900 + n} for n, event in enumerate(counted_events(made, Selection(("line",))))
    ]
    for strip in strips(made / "log" / "gate.log", run_config(made, None), "gate", events):
        assert len(strip.path) > 5


def test_without_the_source_the_annotated_video_is_shown(run: Path) -> None:
    config = run_config(run, None, source=str(run / "gone.mp4"))
    write_clip(run / "gate.mp4", FRAMES)
    chosen = Selection()
    page = make_page(run, config, counted_events(run, chosen), chosen)
    assert "from the annotated video" in page
    assert len(pictures(page)) == 3 * page.count('<div class="card" ')


def test_a_live_camera_is_not_called_again(run: Path) -> None:
    config = run_config(run, None, source="rtsp://camera.invalid/1")
    write_clip(run / "gate.mp4", FRAMES)
    assert "the source is live" in make_page(run, config, counted_events(run, Selection()), Selection(size=2))


def test_the_pictures_of_a_camera_are_in_the_files_of_their_time(run: Path) -> None:
    config = run_config(run, None, source="rtsp://camera.invalid/1")
    folder = video_folder(run, "gate")
    folder.mkdir(parents=True)
    half = FRAMES // 2
    for number, first in enumerate((0, half)):
        path = folder / f"gate-{number}.mp4"
        with VideoWriter(path, WIDTH, HEIGHT, FPS, VideoConfig(preset="ultrafast")) as writer:
            for index in range(first, first + half):
                planes = Planes.view(np.zeros(planes_bytes(WIDTH, HEIGHT), np.uint8), WIDTH, HEIGHT)
                for plane, value in ((planes.y, 60 if first == 0 else 200), (planes.u, 128), (planes.v, 128)):
                    plane[:] = value
                writer.write(planes, index / FPS)
        entry = VideoEntry(
            file=path.name, start=f"2026-03-29T0{number}:00:00+00:00", end="", first_pts_s=first / FPS,
            last_pts_s=(first + half - 1) / FPS, epoch=0, frames=half, width=WIDTH, height=HEIGHT,
        )  # fmt: skip
        add_to_index(folder, [entry])
    write_clip(run / "gate.mp4", 1)  # of an earlier version, without the frames that are asked for
    page = make_page(run, config, counted_events(run, Selection()), Selection())
    assert len(pictures(page)) == 3 * page.count('<div class="card" ')
    found = video_frames(folder / "gate-1.mp4", {(half + 3, (half + 3) / FPS, 0)})
    assert [(index, int(image.mean()) > 150) for index, image in found] == [(half + 3, True)]


def test_without_any_pixels_there_is_nothing_to_show(run: Path) -> None:
    config = run_config(run, None, source=str(run / "gone.mp4"))
    with pytest.raises(AuditError, match="nothing to show"):
        make_page(run, config, counted_events(run, Selection()), Selection())


def test_an_event_that_the_log_does_not_hold_is_named(made: Path) -> None:
    events = [dict(counted_events(made, Selection())[0]) | {"seq": FRAMES + 5, "key": "gate/0/155"}]
    with pytest.raises(AuditError, match="lacks frame 155 of the event gate/0/155"):
        strips(made / "log" / "gate.log", run_config(made, None), "gate", events)


def test_a_page_needs_no_network(made: Path) -> None:
    page = page_of(made, size=2)
    assert not re.search(r"""(src|href)\s*=\s*["']?(https?:|//)""", page)
    assert "default-src &#39;none&#39;" in page


def test_buttons_cannot_be_taken_for_a_direction(made: Path) -> None:
    page = page_of(made, kinds=("line",), size=3)
    assert {event["direction"] for event in counted_events(made, Selection(("line",)))} == {"left", "right"}
    buttons = re.findall(r"<button data-mark=\"(\w+)\">(\w+)</button>", page)
    assert buttons == [("correct", "correct"), ("wrong", "wrong"), ("unsure", "unsure")] * 3


def test_names_are_text_on_the_page(made: Path) -> None:
    events = [dict(event) | {"class_name": "<img src=x>&'\""} for event in counted_events(made, Selection())]
    page = make_page(made, run_config(made, None), events, Selection(size=2))
    assert "<img src=x" not in page
    assert page.count("<span>&lt;img src=x&gt;&amp;&#39;&#34; ") == 2


def test_marks_saved_under_the_old_name_are_read(tmp_path: Path) -> None:
    path = tmp_path / "marks.json"
    path.write_text(json.dumps({"run": "r1", "marks": {"a": "right", "b": "wrong", "c": "correct"}}))
    assert read_marks(path, "r1") == {"a": "correct", "b": "wrong", "c": "correct"}


def test_a_sample_is_drawn_again_by_its_seed(made: Path) -> None:
    events = counted_events(made, Selection())
    first = [event["key"] for event in sample(events, 5, 1)]
    assert first == [event["key"] for event in sample(events, 5, 1)]
    assert first != [event["key"] for event in sample(events, 5, 2)]
    assert len(sample(events, 10_000, 1)) == len(events)
    assert [event["key"] for event in events if event["key"] in first] == first


def test_marks_give_a_precision_by_line(run: Path, command: Command) -> None:
    events = counted_events(run, Selection())
    lines = [event for event in events if event["name"] == "middle"]
    marks = {str(event["key"]): "correct" for event in lines}
    marks[str(lines[0]["key"])] = "wrong"
    marks[str(lines[1]["key"])] = "unsure"
    path = run / "marks.json"
    path.write_text(json.dumps({"run": "r1", "marks": marks}))
    parts = {part.name: part for part in precisions(events, read_marks(path, "r1"))}
    middle = parts["gate: middle"]
    assert (middle.counted, middle.wrong, middle.unsure) == (len(lines), 1, 1)
    assert middle.share == pytest.approx(1 - 1 / (len(lines) - 1))
    assert parts["gate: early"].judged == 0
    code, out, err = command("audit", run, "--marks", path)
    assert code == 0, err
    assert "gate: middle" in out
    saved = json.loads((run / "audit.json").read_text())["parts"]
    assert saved[-1]["name"] == "all" and saved[-1]["wrong"] == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[]", "holds no marks"),
        ('{"run": "other", "marks": {}}', "marks of the run other"),
        ('{"run": "r1", "marks": {"a": "good"}}', "got the mark good"),
        ('{"run": "r1", "marks": {"a": "correct"}}', "1 marks belong to no event"),
    ],
)
def test_marks_that_are_none_of_this_run_are_one_line(
    run: Path, command: Command, text: str, words: str
) -> None:
    path = run / "marks.json"
    path.write_text(text)
    code, _, err = command("audit", run, "--marks", path)
    assert (code, len(err.strip().splitlines())) == (2, 1)
    assert words in err


def test_the_command_writes_the_page_beside_the_run(run: Path, command: Command) -> None:
    code, _, err = command("audit", run, "--sample", "3", "--kind", "line")
    assert code == 0, err
    page = (run / "audit.html").read_text()
    assert page.count('<div class="card" ') == 3
    assert "drawn at random (seed 1)" in page


def test_a_run_that_left_no_configuration_says_what_to_do(run: Path, command: Command) -> None:
    (run / "config.json").unlink()
    code, _, err = command("audit", run)
    assert (code, len(err.strip().splitlines())) == (2, 1)
    assert "--config" in err


def test_a_run_leaves_its_configuration_without_passwords(tmp_path: Path) -> None:
    config = Config.model_validate({"streams": {"gate": {"source": "rtsp://me:secret@camera.invalid/1"}}})
    with open_run(config, tmp_path / "out", ("person",)):
        left = (tmp_path / "out" / "config.json").read_text()
    assert "secret" not in left
    assert Config.model_validate(json.loads(left)).streams["gate"].source.endswith("@camera.invalid/1")


def test_wilsons_interval_is_the_published_one() -> None:
    assert wilson(8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert wilson(0, 10) == pytest.approx((0.0, 0.2775), abs=1e-4)
    assert wilson(0, 0) == (0.0, 1.0)


@given(st.integers(0, 50), st.integers(0, 50), st.integers(0, 200))
def test_the_interval_holds_the_share_and_a_run_is_known_better_than_its_like(
    correct: int, wrong: int, unseen: int
) -> None:
    judged = correct + wrong
    low, high = wilson(correct, judged)
    run_low, run_high = wilson(correct, judged, judged + unseen)
    if judged:
        assert low - 1e-9 <= correct / judged <= high + 1e-9
        assert low - 1e-9 <= run_low <= run_high <= high + 1e-9
    if judged and not unseen:
        assert run_low == run_high


@pytest.mark.slow
def test_keys_mark_events_in_a_browser(
    made: Path, tmp_path: Path, need_program: Callable[[str, str], str]
) -> None:
    browser = need_program("chromium", "chromium")
    presses = "for (const key of ['j','1','c','2','u']) document.dispatchEvent(new KeyboardEvent('keydown', {key}));"
    page = page_of(made, size=6).replace("</body>", f"<script>{presses}</script></body>")
    path = tmp_path / "audit.html"
    path.write_text(page)
    shown = subprocess.run(
        [browser, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", f"file://{path}"],
        capture_output=True, text=True, check=True, timeout=200,
    ).stdout  # fmt: skip
    low, high = wilson(2, 3)
    assert '<b id="precision">66.7 %</b>' in shown
    assert f"{100 * low:.1f} to {100 * high:.1f} %" in shown
    assert "4 of 6" in shown
