"""Small videos and servers for the tests of sources and writers."""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from av.bitstream import BitStreamFilterContext
from numpy.typing import NDArray

from pipeline.transport.planes import Planes, planes_bytes
from pipeline.video.sources.source import SourceFrame

CLIPS = Path(__file__).with_name("data")
"""`clip.mp4` (index in front), `.ts`, `.mkv` and `.avi`: 100 frames of `picture`, 160x120, H.264, a keyframe every 10.

They ship since tests damage them: what an encoder writes depends on its release and on the processor."""
SERVER = Path(__file__).with_name("rtsp_server.py")
SYSTEM_PYTHON = Path("/usr/bin/python3")
BITS = 8


def picture(number: int, width: int = 160, height: int = 120) -> NDArray[np.uint8]:
    """(H, W, 3) RGB: `number` as bright and dark blocks in the top row, a square that moves, red left, blue right."""
    image = np.full((height, width, 3), 90, np.uint8)
    image[height // 2 :, : width // 2] = (200, 40, 40)
    image[height // 2 :, width // 2 :] = (40, 40, 200)
    block = width // BITS
    for bit in range(BITS):
        image[: height // 4, bit * block : (bit + 1) * block] = 230 if number >> bit & 1 else 20
    x = number * 3 % (width - 16)
    image[height // 4 + 4 : height // 4 + 20, x : x + 16] = (250, 250, 60)
    return image


def drawn(number: int, width: int = 160, height: int = 120) -> Planes:
    return Planes.from_rgb(picture(number % 256, width, height))


def number_of(planes: Planes) -> int:
    """The number that `picture` drew, read back from the pixels."""
    block, rows = planes.width // BITS, planes.height // 4
    bits = [
        planes.y[rows // 4 : rows // 2, b * block + block // 4 : b * block + 3 * block // 4].mean() > 110
        for b in range(BITS)
    ]
    return sum(bit << place for place, bit in enumerate(bits))


def blank(width: int, height: int) -> Planes:
    return Planes.view(np.zeros(planes_bytes(width, height), np.uint8), width, height)


def pixels(frame: SourceFrame) -> Planes:
    """The frame's pixels in planes of their own."""
    planes = blank(frame.width, frame.height)
    frame.copy_to(planes)
    return planes


def write_video(
    path: Path,
    count: int = 30,
    *,
    width: int = 160,
    height: int = 120,
    fps: float = 25,
    times_s: Iterable[float] | None = None,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    options: dict[str, str] | None = None,
    container: dict[str, str] | None = None,
    rotation: int = 0,
    hflip: bool = False,
    vflip: bool = False,
    gop: int = 10,
    first: int = 0,
    full_range: bool = False,
    crf: int = 18,
    sample_aspect: Fraction | None = None,
) -> Path:
    """Frames `picture(first)`, `picture(first + 1)`...; returns `path`."""
    rate = Fraction(fps).limit_denominator(1001)
    with av.open(str(path), "w", options=container or {}) as target:
        own = {"crf": str(crf), "preset": "veryfast"} if codec in ("libx264", "libx265") else {}
        stream = target.add_stream(codec, rate=rate, options=own | (options or {}))
        stream.width, stream.height, stream.pix_fmt = width, height, pix_fmt
        stream.codec_context.gop_size = gop
        if times_s is not None:
            stream.codec_context.time_base = Fraction(1, 90_000)
        if sample_aspect is not None:
            stream.codec_context.sample_aspect_ratio = sample_aspect
        if full_range:
            stream.codec_context.color_range = 2
        if rotation or hflip or vflip:
            stream.set_display_rotation(rotation, hflip, vflip)
        times = list(times_s) if times_s is not None else None
        for number in range(count):
            frame = av.VideoFrame.from_ndarray(picture(first + number, width, height), format="rgb24")
            frame = frame.reformat(format=pix_fmt, dst_color_range=2 if full_range else None)
            frame.pts = number if times is None else round(times[number] * 90_000)
            frame.time_base = 1 / rate if times is None else Fraction(1, 90_000)
            target.mux(stream.encode(frame))
        target.mux(stream.encode(None))
    return path


def write_rtsp_clip(video: Path, path: Path) -> Path:
    """The H.264 access units of `video` in the form that `rtsp_server.py` serves."""
    with av.open(str(video)) as source, path.open("wb") as out:
        stream = source.streams.video[0]
        annex_b = BitStreamFilterContext("h264_mp4toannexb", stream)
        for packet in source.demux(stream):
            for unit in annex_b.filter(packet if packet.size else None):
                pts, dts = (round(float(t * unit.time_base) * 1e9) for t in (unit.pts, unit.dts))
                data = bytes(unit)
                out.write(struct.pack("<Iqq", len(data), pts, dts) + data)
    return path


def rtsp_missing() -> str:
    """Why no RTSP server can be started here; empty if it can."""
    if not SYSTEM_PYTHON.exists():
        return "needs Debian's Python"
    check = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"
    found = subprocess.run([str(SYSTEM_PYTHON), "-c", check], capture_output=True)
    return "" if found.returncode == 0 else "needs gir1.2-gst-rtsp-server-1.0"


@contextmanager
def rtsp_server(clip: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A running server and its port; killed at the end."""
    command = [str(SYSTEM_PYTHON), str(SERVER), "--clip", str(clip), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            line = server.stdout.readline()
            assert line.startswith("ready "), f"the RTSP server did not start: {line!r}"
            yield server, int(line.split()[1])
        finally:
            server.kill()


def write_image(path: Path, image: NDArray[np.uint8]) -> Path:
    assert cv2.imwrite(str(path), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    return path
