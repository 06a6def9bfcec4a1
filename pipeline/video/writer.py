"""The annotated video: an MP4 that can be played whatever happened to the process that wrote it.

It is written as `NAME.mp4.part` in fragments of about two seconds (`hybrid_fragmented`) and renamed when it is
finished. Pieces that killed writers left are joined by `concat_parts`.
"""

from __future__ import annotations

import errno
import os
import re
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import numpy as np
from av.container import OutputContainer
from av.video.frame import PictureType
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray

from pipeline.config.schema import VideoConfig
from pipeline.errors import OutputError
from pipeline.transport.planes import Planes, chroma
from pipeline.video.convert import copy_planes, planes_of
from pipeline.video.sources.frame_sampler import FrameSampler

MOVFLAGS = "hybrid_fragmented+frag_keyframe+delay_moov"
"""Fragments while it is written, a plain MP4 once closed; `delay_moov` lets time begin at 0 in spite of B-frames."""
_ENCODERS = {"h264": "libx264", "hevc": "libx265"}
_FLUSH_PACKETS = 0x0200
"""AVFMT_FLAG_FLUSH_PACKETS: what is muxed reaches the file, it does not wait in a buffer."""
_CLOCK = 90_000
_TICK = _CLOCK // 1000
_KEYFRAME_S = 2.0
_START = re.compile(r"^start_s=([0-9.]+)$")


def part_path(path: Path) -> Path:
    """Where a video is while it is written."""
    return path.with_name(path.name + ".part")


class VideoWriter:
    """Writes frames of one size with their own timestamps.

    The cheapest way: `frame_on(pixels)` makes an encoder frame of memory that is there; draw on it, then `encode`.

    Args:
        path: the finished file; `PATH.part` until `close`.
        width, height: pixels of the frames given; an odd last row or column is cut away, x264 needs even sizes.
        fps: nominal rate of the frames given.
        config: codec (not `none`), preset, crf, fps, size, threads.

    Raises:
        OutputError: the folder cannot be written, or the encoder cannot be had.
    """

    def __init__(self, path: Path, width: int, height: int, fps: float, config: VideoConfig) -> None:
        self.path = path
        self.part = part_path(path)
        self._size = (width, height)
        out_width, out_height = config.size or self._size
        self._out_size = (max(2, out_width - out_width % 2), max(2, out_height - out_height % 2))
        self._scaled = config.size is not None and self._out_size != (width, height)
        self._fps = min(fps, config.fps or fps)
        self._sampler = FrameSampler(config.fps, 0, fps)
        self._reformatter = VideoReformatter()
        self._start_s: float | None = None
        self._last_pts = -_TICK
        self._last_key = 0
        self._broken = False
        self._closed = False
        try:
            self.part.parent.mkdir(parents=True, exist_ok=True)
            self.part.open("wb").close()
            self._container: OutputContainer = av.open(
                str(self.part), "w", format="mp4", options={"movflags": MOVFLAGS}
            )
            self._stream = self._add_stream(config)
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise OutputError(
                f"{self.part}: cannot be written: {_reason(error)}; {_advice(error)}"
            ) from error

    def _add_stream(self, config: VideoConfig) -> VideoStream:
        options = {"preset": config.preset, "crf": f"{config.crf:g}", "forced-idr": "1"}
        if config.codec == "hevc":
            options["x265-params"] = "log-level=none"
        rate = Fraction(self._fps).limit_denominator(1001)
        stream = self._container.add_stream(_ENCODERS[config.codec], rate=rate, options=options)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height = self._out_size
        stream.pix_fmt = "yuv420p"
        context = stream.codec_context
        context.time_base = Fraction(1, _CLOCK)
        context.gop_size = max(1, round(self._fps * _KEYFRAME_S * 2))  # `encode` asks for keyframes by time
        if config.codec == "hevc":
            context.codec_tag = "hvc1"
        context.thread_type = "AUTO"  # PyAV's default cuts each frame into slices, which wait for each other
        if config.threads is not None:
            context.thread_count = config.threads
        self._container.flags |= _FLUSH_PACKETS
        return stream

    @property
    def broken(self) -> bool:
        """True after an `OutputError` while writing: nothing more is written, what is there stays."""
        return self._broken

    def wants(self, pts_s: float) -> bool:
        """Whether the frame at `pts_s` is to be written (`fps` of the configuration). Ask once a frame."""
        return not self._broken and not self._sampler.reason_to_skip(0, pts_s)

    def frame_on(self, pixels: NDArray[np.uint8]) -> tuple[av.VideoFrame, Planes]:
        """A frame that lies in the memory given, and views on its planes to draw on.

        Args:
            pixels: (planes_bytes,) uint8, y u v without padding. Encoding reads them and keeps nothing of them.
                Odd sizes and heights that are no multiple of 4 are copied: PyAV takes no others as they lie.
        """
        width, height = self._size
        if width % 2 == 0 and height % 4 == 0:
            rows = pixels.reshape(height * 3 // 2, width)
            frame = av.VideoFrame.from_numpy_buffer(rows, format="yuv420p")
            return frame, Planes.view(pixels, width, height)
        frame = av.VideoFrame(width, height, "yuv420p")
        planes = planes_of(frame)
        copy_planes(Planes.view(pixels, width, height), planes)
        return frame, planes

    def write(self, planes: Planes, pts_s: float) -> bool:
        """Copies and encodes one frame if it is wanted; whether it was."""
        if not self.wants(pts_s):
            return False
        frame = av.VideoFrame(*self._size, "yuv420p")
        copy_planes(planes, planes_of(frame))
        self.encode(frame, pts_s)
        return True

    def encode(self, frame: av.VideoFrame, pts_s: float) -> None:
        """Encodes a frame of `frame_on()`, shown from `pts_s` on. Times that do not rise are moved on by 1 ms.

        Raises:
            OutputError: it could not be written, e.g. on a full disk; once, later frames are passed over.
        """
        if self._broken:
            return
        if self._start_s is None:
            self._start_s = pts_s
            self._container.metadata["comment"] = f"start_s={pts_s:.6f}"
        frame = self._fitted(frame)
        pts = max(self._last_pts + _TICK, round((pts_s - self._start_s) * _CLOCK))
        frame.pts, frame.time_base = pts, Fraction(1, _CLOCK)
        if self._last_pts < 0 or pts - self._last_key >= _KEYFRAME_S * _CLOCK:
            frame.pict_type = PictureType.I
            self._last_key = pts
        self._last_pts = pts
        try:
            self._container.mux(self._stream.encode(frame))
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise self._break(error) from error

    def close(self) -> None:
        """Finishes the video and gives it its name. A video without a frame is removed.

        Raises:
            OutputError: it could not be finished; the part stays.
        """
        if self._closed:
            return
        self._closed = True
        told = self._broken
        try:
            if not told and self._start_s is not None:
                self._container.mux(self._stream.encode(None))
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise self._break(error) from error
        finally:
            self._close_container(told)
        if told:
            return
        try:
            if self._start_s is None:
                self.part.unlink(missing_ok=True)
            else:
                os.replace(self.part, self.path)
        except OSError as error:
            raise self._break(error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _close_container(self, told: bool) -> None:
        try:
            self._container.close()
        except (av.error.FFmpegError, OSError) as error:
            if not told and not self._broken:
                raise self._break(error) from error

    def _break(self, error: Exception) -> OutputError:
        self._broken = True
        return OutputError(f"{self.part}: cannot be written: {_reason(error)}; {_advice(error)}")

    def _fitted(self, frame: av.VideoFrame) -> av.VideoFrame:
        if (frame.width, frame.height) == self._out_size:
            return frame
        width, height = self._out_size
        if self._scaled:
            return self._reformatter.reformat(frame, width=width, height=height, format="yuv420p", threads=1)
        even = av.VideoFrame(width, height, "yuv420p")
        source, target = planes_of(frame), planes_of(even)
        np.copyto(target.y, source.y[:height, :width])
        np.copyto(target.u, source.u[: chroma(height), : chroma(width)])
        np.copyto(target.v, source.v[: chroma(height), : chroma(width)])
        return even


def concat_parts(parts: list[Path], out: Path) -> int:
    """Joins the pieces that a stream's writers left, in this order, into `out` without encoding again.

    Each piece stands where its own start time puts it, or right behind the one before. Unreadable pieces (a writer
    killed before its first fragment) are passed over. `out` may be one of `parts`; the pieces are not removed.

    Returns:
        How many pieces went in; 0 leaves `out` alone.

    Raises:
        OutputError: `out` could not be written.
    """
    joining = out.with_name(out.name + ".joining")
    used = 0
    try:
        with av.open(str(joining), "w", format="mp4", options={"movflags": MOVFLAGS}) as target:
            stream: VideoStream | None = None
            first_s, end = 0.0, 0
            for part in parts:
                try:
                    source = av.open(f"file:{part.absolute()}", "r", options={"protocol_whitelist": "file"})
                except (av.error.FFmpegError, OSError):
                    continue
                with source:
                    if not source.streams.video:
                        continue
                    start_s = _start_of(source.metadata.get("comment", ""))
                    if stream is None:
                        stream = target.add_stream_from_template(source.streams.video[0])
                        target.metadata["comment"] = f"start_s={start_s:.6f}"
                        first_s = start_s
                    end = _copy_packets(source, target, stream, round((start_s - first_s) * _CLOCK), end)
                    used += 1
        if used:
            os.replace(joining, out)
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise OutputError(f"{out}: cannot be written: {_reason(error)}; {_advice(error)}") from error
    finally:
        joining.unlink(missing_ok=True)
    return used


def _copy_packets(
    source: av.container.InputContainer, target: OutputContainer, stream: VideoStream, shift: int, end: int
) -> int:
    """Muxes all whole packets, shifted by `shift` ticks of 1/90000 s but not in front of `end`; the new end."""
    offset: int | None = None
    latest = end
    video = source.streams.video[0]
    try:
        for packet in source.demux(video):
            if packet.dts is None or packet.pts is None or packet.is_corrupt:
                continue
            tick = packet.time_base * _CLOCK
            pts, dts = round(packet.pts * tick), round(packet.dts * tick)
            if offset is None:
                offset = max(shift, end) - pts  # the first packet is a keyframe: nothing is shown before it
            duration = round((packet.duration or 0) * tick)
            packet.time_base = Fraction(1, _CLOCK)
            packet.pts, packet.dts, packet.duration = pts + offset, dts + offset, duration
            latest = max(latest, pts + offset + max(1, duration))
            packet.stream = stream
            target.mux(packet)
    except av.error.InvalidDataError:
        pass  # the torn last fragment of a killed writer: what came before it is in
    return latest


def _start_of(comment: str) -> float:
    found = _START.match(comment)
    return float(found.group(1)) if found else 0.0


def _reason(error: Exception) -> str:
    text = getattr(error, "strerror", None)
    return str(text) if text else str(error) or type(error).__name__


def _advice(error: Exception) -> str:
    code = getattr(error, "errno", None)
    if code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return "free some space or choose another folder with --out"
    if code in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR, errno.EEXIST):
        return "check the folder and its rights, or choose another with --out"
    return "check the video settings of the configuration"
