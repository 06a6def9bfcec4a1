"""What cannot be opened gives one clear line; what is damaged gives what is left of it, and is counted."""

from __future__ import annotations

import random
import threading
from pathlib import Path

import av
import pytest

from pipeline.config.schema import StreamConfig
from pipeline.errors import SourceError
from pipeline.video.sources.source import Source
from pipeline.video.sources.source_registry import open_source
from tests.video.media import CLIPS, number_of, pixels, write_video


def opened(source: object) -> Source:
    return open_source(StreamConfig(source=str(source)), stop=threading.Event())


def refused(source: object) -> str:
    """The one line with which `source` is refused."""
    with pytest.raises(SourceError) as caught:
        opened(source)
    text = str(caught.value)
    assert caught.value.exit_code == 3
    assert "\n" not in text and len(text) < 400
    return text


def numbers(source: Source) -> list[int]:
    return [number_of(pixels(frame)) for frame in source.frames()]


@pytest.fixture
def clip() -> Path:
    return CLIPS / "clip.mp4"


def test_a_missing_file(tmp_path: Path) -> None:
    text = refused(tmp_path / "missing.mp4")
    assert "missing.mp4: no such file" in text and "rtsp(s)://" in text


def test_an_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "empty.mp4"
    path.touch()
    assert "empty.mp4: the file is empty" in refused(path)


def test_text_named_mp4(tmp_path: Path) -> None:
    path = tmp_path / "text.mp4"
    path.write_text("this is not a video\n" * 100)
    assert "text.mp4: not a video that can be read" in refused(path)


def test_random_bytes_are_refused_whatever_they_are(tmp_path: Path) -> None:
    path = tmp_path / "noise.mp4"
    for seed in range(10):
        path.write_bytes(random.Random(seed).randbytes(20_000))
        assert "noise.mp4" in refused(path)


def test_a_file_without_rights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "secret.mp4"
    path.write_bytes(b"x")

    def no_rights(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", no_rights)  # root may read everything
    assert "secret.mp4: cannot be read: Permission denied" in refused(path)


def test_sound_without_video(tmp_path: Path) -> None:
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as target:
        stream = target.add_stream("aac", rate=44_100)
        frame = av.AudioFrame(format="fltp", layout="mono", samples=1024)
        frame.sample_rate = 44_100
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        target.mux(stream.encode(frame))
        target.mux(stream.encode(None))
    assert "sound.mp4: contains no video stream (found: audio)" in refused(path)


def test_an_unknown_codec(tmp_path: Path, clip: Path) -> None:
    path = tmp_path / "codec.mp4"
    path.write_bytes(clip.read_bytes().replace(b"avc1", b"zzz9"))
    text = refused(path)
    assert "codec.mp4: its video codec" in text and "H.264" in text


def test_a_folder_without_images(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing to see")
    assert "no images or videos in this folder; expected .jpg" in refused(tmp_path)


@pytest.mark.parametrize(
    "source",
    [
        "concat:/etc/passwd|/etc/hosts",
        "subfile,,start,0,end,100,,:/etc/passwd",
        "pipe:0",
        "data:video/mp4;base64,AAAA",
        "crypto:file:/etc/passwd",
        "cache:http://127.0.0.1/x",
        "tcp://127.0.0.1:1",
        "lavfi:testsrc",
        "camera:front",
        "camera:",
        "http://",
        "rtsp://:554/x",
        "http://host:port/x",
        "http://[::1/x",
        "nul\0byte.mp4",
        "a" * 5000 + ".mp4",
    ],
)
def test_other_addresses_are_refused_with_what_is_expected(source: str) -> None:
    refused(source)


def test_a_playlist_cannot_reach_other_files(tmp_path: Path, clip: Path) -> None:
    playlist = tmp_path / "list.m3u8"
    playlist.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\nfile://{clip}\n#EXT-X-ENDLIST\n")
    assert "list.m3u8: not a video that can be read" in refused(playlist)
    concat = tmp_path / "list.ffconcat"
    concat.write_text(f"ffconcat version 1.0\nfile '{clip}'\n")
    refused(concat)


def test_a_password_is_never_shown() -> None:
    for source in (
        "rtsp://viewer:hunter2@127.0.0.1:1/stream",
        "http://viewer:hunter2@127.0.0.1:1/video?token=hunter2",
        "rtmp://viewer:hunter2@127.0.0.1/x",
        "rtsp://viewer:hunter2@host:bad/x",
    ):
        assert "hunter2" not in refused(source)


@pytest.mark.parametrize("part", [0.3, 0.6, 0.9])
def test_a_truncated_video_is_played_as_far_as_it_goes(tmp_path: Path, clip: Path, part: float) -> None:
    path = tmp_path / "cut.mp4"
    path.write_bytes(clip.read_bytes()[: int(clip.stat().st_size * part)])
    source = opened(path)
    seen = numbers(source)
    assert 100 * part - 25 < len(seen) < 100
    assert seen[:-3] == list(range(len(seen) - 3))
    assert source.stats.errors >= 1
    assert source.stats.last_error


def test_a_video_whose_end_with_the_index_is_missing_cannot_be_opened(tmp_path: Path) -> None:
    whole = write_video(tmp_path / "whole.mp4", 50).read_bytes()
    path = tmp_path / "cut.mp4"
    path.write_bytes(whole[: whole.rindex(b"moov") - 4])
    assert "truncated before its index" in refused(path)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", ["clip.mp4", "clip.ts", "clip.mkv", "clip.avi"])
def test_flipped_bits_are_counted_and_the_rest_is_played(tmp_path: Path, name: str, seed: int) -> None:
    data, dice = bytearray((CLIPS / name).read_bytes()), random.Random(seed)
    for _ in range(30):
        data[dice.randrange(len(data) // 4, len(data))] ^= 1 << dice.randrange(8)
    path = tmp_path / name
    path.write_bytes(data)
    source = opened(path)
    count = len(numbers(source))
    assert count >= 50
    assert source.stats.decoded == count
    assert source.stats.errors > 0


def test_damage_anywhere_gives_an_error_or_frames_but_nothing_else(tmp_path: Path, clip: Path) -> None:
    """Also in the index: no exception but `SourceError`, no endless playing."""
    whole = clip.read_bytes()
    path = tmp_path / "bad.mp4"
    for seed in range(40):
        data, dice = bytearray(whole), random.Random(seed)
        for _ in range(8):
            data[dice.randrange(3000)] = dice.randrange(256)
        path.write_bytes(data)
        try:
            assert len(numbers(opened(path))) <= 200
        except SourceError as error:
            assert "\n" not in str(error)


def test_a_start_behind_the_end(clip: Path) -> None:
    with pytest.raises(SourceError, match="clip.mp4: start_s 60 is not before the end"):
        open_source(StreamConfig(source=str(clip), start_s=60), stop=threading.Event())
