"""What users get wrong: one line on standard error that says what to do, the right exit code, and no harm done.

What is told before any process starts is tried within this process; the few mistakes that only a stage can
notice are real runs. Odd but valid videos are at the end: all of them are streams of one run.
"""

from __future__ import annotations

import contextlib
import json
import random
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import cv2
import pytest
import yaml

import pipeline
from pipeline.cli.app import main
from pipeline.config.schema import ModelConfig
from pipeline.errors import ModelError
from pipeline.models import registry
from tests.running import frames_of, scene, summary, tallycam
from tests.video.media import CLIPS, picture, write_video

Refused = Callable[..., str]
SECRET = "hunter2"


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return scene(tmp_path_factory.mktemp("scene"), 20)


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Refused:
    """Gives a command line to `tallycam` and returns the one line with which it is refused."""

    def refuse(*arguments: str | Path, code: int = 2) -> str:
        monkeypatch.setattr(sys, "argv", ["tallycam", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            main()
        err = capsys.readouterr().err
        assert caught.value.code == code, err
        return one_line(err)

    return refuse


def one_line(err: str) -> str:
    lines = err.strip().splitlines()
    assert len(lines) == 1, err
    assert lines[0].startswith("tallycam: ")
    assert SECRET not in err
    return lines[0].removeprefix("tallycam: ")


def changed(config: Path, to: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    data = yaml.safe_load(config.read_text())
    change(data)
    to.write_text(yaml.safe_dump(data))
    return to


# The command line and the configuration


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["frobnicate"], "No such command 'frobnicate'"),
        (["run"], "Missing argument 'CONFIG|SOURCE'"),
        (["run", "a.yaml", "b.yaml"], "unexpected extra argument (b.yaml)"),
        (["run", "a.yaml", "--frob"], "No such option"),
        (["demo", "--seed", "-1"], "--seed"),
        (["demo", "--seed", "many"], "integer"),
    ],
)
def test_a_wrong_command_line_says_what_and_where_help_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["tallycam", *arguments])
    with pytest.raises(SystemExit) as caught:
        main()
    err = capsys.readouterr().err
    assert caught.value.code == 2
    assert says in " ".join(err.split()).replace("argument(s)", "argument")  # as typer's releases word it
    assert "--help' for help" in err


@pytest.mark.parametrize("verb", ["run", "check", "recount"])
def test_help_says_what_the_arguments_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], verb: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["tallycam", verb, "--help"])
    with pytest.raises(SystemExit):
        main()
    out = capsys.readouterr().out
    assert "CONFIG" in out and ("YAML" in out or "DIR/log/STREAM.log" in out)


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("nonsense", "--set nonsense: expected name.name=value"),
        ("=", "expected name.name=value"),
        ("a={", "not valid YAML"),
        ("strems={}", "did you mean `streams`?"),
        ("streams={'../x': {source: a.mp4}}", "got '../x', a name has letters"),
        ("streams.gate.source=null", "expected text, got nothing"),
        ("streams.gate.source=rtsp://u:${NOT_SET}@camera/x", "variable NOT_SET is not set; set it, or write"),
        ("streams.gate.lines.middle.points=[[0.5, 0.5], [0.5, 0.5]]", "points are the same"),
        (
            "streams.gate.lines.middle.points=[[0, 0], [1, 2]]",
            "points[1][1]: expected less than or equal to 1",
        ),
        ("streams.gate.lines.middle.points=[[0, 0], [.nan, 1]]", "expected a finite number"),
        ("streams.gate.lines.middle.points=[[0, 0]]", "expected at least 2, got a list of 1"),
        ("streams.gate.lines.middle.points=[[0, 0], [1, 1], [1, 0], [0, 1]]", "segments 1 and 3 meet"),
        ("streams.gate.lines.middle.anchor=nose", "expected 'foot', 'center' or 'mask', got 'nose'"),
        ("streams.gate.lines.middle.classes=[preson]", "no class 'preson'; did you mean person?"),
        ("streams.gate.zones.square.classes=[bus]", "no class 'bus'"),
        ("streams.gate.zones.square.points=[[0, 0], [1, 0], [0.5, 0]]", "a zone needs an area"),
        ("streams.gate.classes=[]", "streams.gate.classes: expected at least 1"),
        ("model.name=strete", "model.name: got strete; did you mean street?"),
        ("model.path=none.onnx", "--set model.name=null removes the name"),
        ("output.video.preset=warp", "output.video.preset: expected 'ultrafast'"),
        ("output.events=events", "output.events: got 'events', expected postgresql://"),
        (f"output.events=mysql://u:{SECRET}@h/x", "got 'mysql://u:***@h/x'"),
        ("metrics.host=192.0.2.1", "cannot listen on 192.0.2.1"),
    ],
)
def test_a_wrong_value_is_told_before_anything_starts(
    refused: Refused, config: Path, tmp_path: Path, setting: str, says: str
) -> None:
    assert says in refused("run", config, "--out", tmp_path / "out", "--set", setting)


@pytest.mark.parametrize(
    "content",
    [b"", b"\x00\x01\xff", b"- a", b"streams: {a: {source: b}, a: {source: c}}", "streams: ☃".encode()],
)
def test_a_file_that_is_no_configuration(refused: Refused, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "gate.yaml"
    path.write_bytes(content)
    assert str(path) in refused("check", path)
    assert "is a folder" in refused("check", tmp_path)
    assert "there is no such file" in refused("check", tmp_path / "none.yaml")


# Models


def no_weights() -> bytes:
    header = json.dumps({"__metadata__": {"classes": '["person"]'}}).encode()
    return struct.pack("<Q", len(header)) + header


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("text.onnx", b"a model", "is not an ONNX model"),
        ("empty.onnx", b"", "is not an ONNX model"),
        ("text.safetensors", b"a model" * 20, "is not a model file"),
        ("empty.safetensors", b"", "is not a model file"),
        ("picture.png", b"\x89PNG", "expected a file ending in .onnx or .pth or .safetensors"),
        ("none.onnx", None, "there is no file"),
    ],
)
def test_a_model_that_is_not_one(
    refused: Refused, config: Path, tmp_path: Path, name: str, content: bytes | None, says: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    settings = ("--set", "model.name=null", "--set", f"model.path={tmp_path / name}")
    assert says in refused("check", config, *settings)


def test_a_model_file_without_weights_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "empty.safetensors"
    path.write_bytes(no_weights())
    assert registry.classes_of(ModelConfig(path=path)) == ("person",)
    with pytest.raises(ModelError, match=r"^\S*empty\.safetensors: [^\n]+$"):
        registry.load(ModelConfig(path=path, device="cpu"))


def test_recount_refuses_classes_that_the_log_does_not_know(refused: Refused, config: Path) -> None:
    log = config.with_name("made.log")
    for place in ("classes", "lines.middle.classes", "zones.square.classes"):
        says = refused("recount", log, config, "--set", f"streams.gate.{place}=[bus]")
        assert says.startswith(f"streams.gate.{place}: the model has no class 'bus'")


# Sources and results


@pytest.mark.parametrize(
    "source",
    [
        "missing.mp4",
        "camera:front",
        "concat:/etc/passwd|/etc/hosts",
        "subfile,,start,0,end,100,,:/etc/passwd",
        f"mms://viewer:{SECRET}@127.0.0.1/x",
        f"rtsp://viewer:{SECRET}@host:port/x",
        "ворота \u202e☃.mp4",
    ],
)
def test_an_address_that_is_none_is_told_before_anything_starts(
    refused: Refused, config: Path, tmp_path: Path, source: str
) -> None:
    refused("run", config, "--out", tmp_path / "out", "--source", source, code=3)
    assert not (tmp_path / "out").exists()


def test_places_that_cannot_be_written(refused: Refused, config: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place in (tmp_path / "file", tmp_path / "file" / "out", Path("/proc/tallycam")):
        assert "give another folder with --out" in refused("run", config, "--out", place)
        assert "give another folder with --out" in refused("demo", "--seed", "1", "--out", place)
    for rows in (tmp_path / "file" / "rows.txt", tmp_path, Path("/proc/tallycam/rows.txt")):
        says = refused("run", config, "--out", tmp_path / "out", "--tracks", rows)
        assert says.startswith(f"{rows}: cannot be written") and "give another file" in says


@pytest.mark.parametrize("how", [[], ["--resume"], ["--overwrite"]], ids=["", "resume", "overwrite"])
@pytest.mark.parametrize("name", ["run.json", "gate.mp4", "summary.json", "log/gate.log", "config.json"])
def test_files_that_are_not_of_a_run_are_never_replaced(
    refused: Refused, config: Path, tmp_path: Path, name: str, how: list[str]
) -> None:
    (tmp_path / "log").mkdir()
    (tmp_path / name).write_text('{"lives": []}')
    says = refused("run", config, "--out", tmp_path, *how)
    assert says.startswith(f"{tmp_path / name}: is in the way") and "give another folder with --out" in says
    assert (tmp_path / name).read_text() == '{"lives": []}'


def test_a_source_is_not_overwritten_by_its_own_video(refused: Refused, config: Path, tmp_path: Path) -> None:
    video = tmp_path / "gate.mp4"
    video.write_bytes(config.with_name("clip.mp4").read_bytes())
    identity = {"run": "r", "lives": 1, "started_s": 0.0, "streams": ["gate"]}
    (tmp_path / "run.json").write_text(json.dumps(identity))
    says = refused("run", config, "--source", video, "--out", tmp_path, "--overwrite")
    assert "is where a video is written" in says
    assert video.exists()


def test_a_stream_cannot_have_the_name_of_the_log(refused: Refused, tmp_path: Path, config: Path) -> None:
    def rename(data: dict[str, Any]) -> None:
        data["streams"]["run"] = data["streams"].pop("gate")

    path = changed(config, tmp_path / "named.yaml", rename)
    assert "streams.run: DIR/log/run.log is the log" in refused("check", path)


def test_resume_and_overwrite_exclude_each_other(refused: Refused, config: Path, tmp_path: Path) -> None:
    says = refused("run", config, "--out", tmp_path, "--resume", "--overwrite")
    assert says == "--resume and --overwrite exclude each other; give one of them"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "code", "says"),
    [
        (["streams.gate.source=FOLDER/text.mp4"], 3, "text.mp4: not a video that can be read"),
        (["output.events=sqlite:///FOLDER/none/events.db"], 2, "events cannot be opened"),
        (["model.name=tests.broken_model:Broken"], 2, "weights.bin: is damaged; fetch it again"),
    ],
    ids=["text", "database", "model"],
)
def test_what_only_a_stage_can_notice_is_one_line_as_well(
    config: Path, tmp_path: Path, settings: list[str], code: int, says: str
) -> None:
    (tmp_path / "text.mp4").write_text("this is not a video\n" * 100)
    overrides = [word for text in settings for word in ("--set", text.replace("FOLDER", str(tmp_path)))]
    found, _, err = tallycam("run", config, "--out", tmp_path / "out", *overrides)
    assert found == code, err
    assert says in one_line(err)
    run_log = tmp_path / "out" / "log" / "run.log"
    if run_log.exists():  # a file that is no video is noticed before the run begins
        log = run_log.read_text()
        assert says in log
        assert "Traceback" not in log and SECRET not in log


# Odd but valid input

DRAWN: dict[str, tuple[int, tuple[int, int]]] = {
    # stream -> frames processed, size of its video
    "odd": (10, (320, 180)),
    "rotated": (10, (120, 160)),
    "one": (1, (160, 120)),
    "tiny": (10, (18, 16)),
    "wide": (10, (2000, 64)),
}
"""Streams of a run."""
COUNTED = {"grey": 10, "ten-bit": 10, "vfr": 10, "images": 9, "part": 25, "skip": 25, "slower": 20}
"""Stream -> frames, counted without the processes of a run: what follows the decoder is the same for all of them."""
DAMAGED = ("cut", "flipped")


def odd_streams(folder: Path) -> dict[str, dict[str, Any]]:
    """Stream -> configuration."""
    clip = write_video(folder / "clip.mp4", 50)
    images = folder / "images"
    images.mkdir()
    for number in range(10):
        cv2.imwrite(str(images / f"{number}.png"), picture(number))
    (images / "4.png").write_bytes(b"no image")
    uneven_s = [0.0, 0.01, 0.05, 0.3, 0.31, 0.32, 0.9, 0.95, 1.4, 1.5]
    made = {
        "odd": write_video(folder / "odd.mp4", 10, width=321, height=181, pix_fmt="yuv444p"),
        "grey": write_video(folder / "grey.mkv", 10, codec="ffv1", pix_fmt="gray"),
        "ten-bit": write_video(folder / "ten.mp4", 10, pix_fmt="yuv420p10le"),
        "vfr": write_video(folder / "vfr.mp4", 10, times_s=uneven_s),
        "rotated": write_video(folder / "rotated.mp4", 10, rotation=90),
        "one": write_video(folder / "one.mp4", 1),
        "tiny": write_video(folder / "tiny.mp4", 10, width=18, height=16),
        "wide": write_video(folder / "wide.mp4", 10, width=2000, height=64),
        "images": images,
        "part": clip,
        "skip": clip,
        "slower": clip,
        "cut": cut(folder / "cut.mp4"),
        "flipped": flipped(folder / "flipped.mp4"),
    }
    streams: dict[str, dict[str, Any]] = {name: {"source": str(path)} for name, path in made.items()}
    streams["part"] |= {"start_s": 0.4, "stop_s": 1.4}
    streams["skip"]["skip"] = 1
    streams["slower"]["fps"] = 10
    return streams


def cut(path: Path) -> Path:
    """A video whose last third is missing; its index is in front."""
    whole = (CLIPS / "clip.mp4").read_bytes()
    path.write_bytes(whole[: len(whole) * 2 // 3])
    return path


def flipped(path: Path) -> Path:
    data, dice = bytearray((CLIPS / "clip.mp4").read_bytes()), random.Random(1)
    for _ in range(30):
        data[dice.randrange(len(data) // 4, len(data) * 3 // 4)] ^= 1 << dice.randrange(8)
    path.write_bytes(data)
    return path


@pytest.fixture(scope="module")
def odd(config: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A configuration with all odd streams."""
    folder = tmp_path_factory.mktemp("odd")

    def with_streams(data: dict[str, Any]) -> None:
        lines, zones = data["streams"]["gate"]["lines"], data["streams"]["gate"]["zones"]
        data["streams"] = {
            name: stream | {"lines": lines, "zones": zones} for name, stream in odd_streams(folder).items()
        }

    return changed(config, folder / "odd.yaml", with_streams)


@pytest.fixture(scope="module")
def odd_run(odd: Path) -> tuple[Path, str]:
    """The results of a run with those that are drawn or damaged, and what it printed."""

    def only_some(data: dict[str, Any]) -> None:
        data["streams"] = {name: data["streams"][name] for name in (*DRAWN, *DAMAGED)}

    out = odd.with_name("out")
    code, printed, err = tallycam(
        "run", changed(odd, odd.with_name("some.yaml"), only_some), "--out", out, timeout_s=280
    )
    assert code == 0, err
    assert err == ""
    return out, " ".join(printed.split())


@pytest.mark.parametrize("stream", COUNTED)
def test_odd_videos_are_counted_frame_by_frame(odd: Path, stream: str) -> None:
    frames = list(pipeline.open(config=odd, stream=stream))
    assert len(frames) == COUNTED[stream]
    assert {frame.annotated.shape for frame in frames} == {(120, 160, 3)}


@pytest.mark.slow
@pytest.mark.parametrize("stream", DRAWN)
def test_odd_videos_are_drawn_frame_by_frame(odd_run: tuple[Path, str], stream: str) -> None:
    out, _ = odd_run
    frames, size = DRAWN[stream]
    assert summary(out, stream)["frames"]["processed"] == frames
    assert frames_of(out / f"{stream}.mp4") == frames
    with av.open(str(out / f"{stream}.mp4")) as video:
        assert (video.streams.video[0].width, video.streams.video[0].height) == size


@pytest.mark.slow
@pytest.mark.parametrize("stream", DAMAGED)
def test_damage_is_left_out_counted_and_told(odd_run: tuple[Path, str], stream: str) -> None:
    out, printed = odd_run
    result = summary(out, stream)
    assert 100 // 3 <= result["frames"]["processed"] <= 100
    assert frames_of(out / f"{stream}.mp4") == result["frames"]["processed"]
    assert result["damage"]["errors"] > 0
    assert f"{stream}: {result['damage']['errors']} damaged parts of the source were left out" in printed


@pytest.mark.slow
def test_the_video_has_the_size_the_codec_and_the_rate_that_were_asked_for(
    config: Path, tmp_path: Path
) -> None:
    wishes = ("codec=hevc", "size=[101, 57]", "fps=5")
    settings = [word for wish in wishes for word in ("--set", f"output.video.{wish}")]
    code, _, err = tallycam("run", config, "--out", tmp_path / "out", *settings)
    assert code == 0, err
    assert summary(tmp_path / "out")["frames"]["processed"] == 20
    with contextlib.closing(av.open(str(tmp_path / "out" / "gate.mp4"))) as video:
        stream = video.streams.video[0]
        assert (stream.codec_context.name, stream.width, stream.height) == ("hevc", 100, 56)
    assert frames_of(tmp_path / "out" / "gate.mp4") == 4
