"""Writes the annotated video: an MP4 that stays playable whatever happens to the process that writes it.

It is written as `NAME.mp4.part` in fragments of about two seconds, and renamed when it is finished. `video_parts` joins
the pieces that killed writers left.
"""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import numpy as np
from av.container import OutputContainer
from av.packet import Packet
from av.video.frame import PictureType
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray

from pipeline.config.schema import VideoConfig
from pipeline.errors import OutputError
from pipeline.transport.planes import Planes, chroma
from pipeline.video.convert import copy_planes, planes_of
from pipeline.video.sources.frame_sampler import FrameSampler
from pipeline.video.video_parts import (
    CLOCK_HZ,
    MOVFLAGS,
    gap_steps,
    part_path,
    start_comment,
    write_error,
)

_ENCODERS = {"h264": "libx264", "hevc": "libx265"}
_FLUSH_PACKETS = 0x0200
"""AVFMT_FLAG_FLUSH_PACKETS: muxed packets are written to the file at once instead of being buffered."""
_MIN_STEP = CLOCK_HZ // 1000
_KEYFRAME_S = 2.0
_EARLIEST_DTS = -86_400 * CLOCK_HZ
"""The first frame is presented at 0 and decoded before that by the encoder's delay: a few frames, each of them at most
`MAX_STEP` long."""
_LONGEST_GAP = 31 * 86_400 * CLOCK_HZ


class VideoWriter:
    """Encodes frames of one size with their own timestamps.

    The cheapest way to write a frame: wrap its memory with `frame_on`, draw on it, then `encode` it.

    Args:
        path: of the finished file; while it is written, its name ends in `.part`.
        width, height: of the frames, pixels. x264 needs even sizes: an odd last row or column is cropped.
        fps: nominal frame rate in Hz.
        config: codec (other than `none`), preset, crf, fps, size, threads.
        sample_aspect: width and height of a displayed pixel relative to each other. If `config.size` changes the
            shape of the frames, the ratio is adapted, so that the video is displayed in the same shape.

    Raises:
        OutputError: the file cannot be written, or the encoder is not available.
    """

    def __init__(
        self,
        path: Path,
        width: int,
        height: int,
        fps: float,
        config: VideoConfig,
        sample_aspect: tuple[int, int] = (1, 1),
    ) -> None:
        self.path = path
        self.part = part_path(path)
        self._size = (width, height)
        out_width, out_height = config.size or self._size
        self._out_size = (max(2, out_width - out_width % 2), max(2, out_height - out_height % 2))
        self._scaled = config.size is not None and self._out_size != (width, height)
        self._sample_aspect = Fraction(*sample_aspect)
        if self._scaled and self._sample_aspect != 1:
            shape, out_shape = Fraction(width, height), Fraction(*self._out_size)
            self._sample_aspect = (self._sample_aspect * shape / out_shape).limit_denominator(255)
        self._fps = min(fps, config.fps or fps)
        self._sampler = FrameSampler(config.fps, 0, fps)
        self._reformatter = VideoReformatter()
        self._start_s: float | None = None
        self._last_pts = -_MIN_STEP
        self._last_key = 0
        self._shortened = 0
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
            raise write_error(self.part, error) from error

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
        if self._sample_aspect != 1:
            context.sample_aspect_ratio = self._sample_aspect
        context.time_base = Fraction(1, CLOCK_HZ)
        context.gop_size = max(
            1, round(self._fps * _KEYFRAME_S * 2)
        )  # upper limit; `encode` forces keyframes by time
        if config.codec == "hevc":
            context.codec_tag = "hvc1"
        context.thread_type = "AUTO"  # PyAV's default is slices, whose threads wait for each other
        if config.threads is not None:
            context.thread_count = config.threads
        self._container.flags |= _FLUSH_PACKETS
        return stream

    @property
    def out_size(self) -> tuple[int, int]:
        """Width and height of the video, pixels."""
        return self._out_size

    @property
    def broken(self) -> bool:
        """Whether writing has failed. Nothing more is written then; what was written stays."""
        return self._broken

    def wants(self, pts_s: float) -> bool:
        """Whether a frame is to be written, as far as `fps` of the configuration allows. Call once per frame.

        Args:
            pts_s: its media time, seconds.
        """
        return not self._broken and not self._sampler.reason_to_skip(0, pts_s)

    def frame_on(self, pixels: NDArray[np.uint8]) -> tuple[av.VideoFrame, Planes]:
        """Wraps pixels in a frame for the encoder without copying them.

        Odd widths and heights that are not multiples of 4 are copied: PyAV cannot wrap those.

        Args:
            pixels: (planes_bytes,) uint8, planes y u v without padding. `encode` keeps no reference to them.

        Returns:
            The frame, and views on its planes to draw on.
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
        """Copies and encodes one frame, unless `fps` of the configuration leaves it out.

        Args:
            planes: of the writer's size.
            pts_s: media time, seconds.

        Returns:
            Whether it was written.

        Raises:
            OutputError: see `encode`.
        """
        if not self.wants(pts_s):
            return False
        frame = av.VideoFrame(*self._size, "yuv420p")
        copy_planes(planes, planes_of(frame))
        self.encode(frame, pts_s)
        return True

    def encode(self, frame: av.VideoFrame, pts_s: float) -> None:
        """Encodes a frame. A timestamp that does not increase is moved to 1 ms after the one before.

        While the source was away for more than an hour, the video is black. An absence of more than 31 days is
        shortened to that.

        Args:
            frame: from `frame_on`.
            pts_s: media time from which on it is shown, seconds.

        Raises:
            OutputError: it cannot be written, e.g. because the disk is full. Raised once; later frames are ignored.
        """
        if self._broken:
            return
        if self._start_s is None:
            self._start_s = pts_s
            self._container.metadata["comment"] = start_comment(pts_s)
        pts = max(self._last_pts + _MIN_STEP, round((pts_s - self._start_s) * CLOCK_HZ) - self._shortened)
        if self._last_pts >= 0 and pts - self._last_pts > _LONGEST_GAP:
            self._shortened += pts - self._last_pts - _LONGEST_GAP
            pts = self._last_pts + _LONGEST_GAP
        try:
            for missing in gap_steps(self._last_pts, pts):
                self._encode(self._black(), missing)
            self._encode(self._fit(frame), pts)
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise self._break(error) from error

    def _encode(self, frame: av.VideoFrame, pts: int) -> None:
        """Encodes a frame of the output size at a time in ticks; forces keyframes at regular times."""
        frame.pts, frame.time_base = pts, Fraction(1, CLOCK_HZ)
        if self._last_pts < 0 or pts - self._last_key >= _KEYFRAME_S * CLOCK_HZ:
            frame.pict_type = PictureType.I
            self._last_key = pts
        self._last_pts = pts
        self._mux(self._stream.encode(frame))

    def _black(self) -> av.VideoFrame:
        frame = av.VideoFrame(*self._out_size, "yuv420p")
        planes = planes_of(frame)
        planes.y[:], planes.u[:], planes.v[:] = 16, 128, 128
        return frame

    def close(self) -> None:
        """Finishes the video and renames it. A video without frames is removed.

        Raises:
            OutputError: it cannot be finished; the part stays.
        """
        if self._closed:
            return
        self._closed = True
        already_reported = self._broken
        try:
            if not already_reported and self._start_s is not None:
                self._mux(self._stream.encode(None))
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise self._break(error) from error
        finally:
            self._close_container(already_reported)
        if already_reported:
            return
        try:
            if self._start_s is None:
                self.part.unlink(missing_ok=True)
            else:
                os.replace(self.part, self.path)
        except OSError as error:
            raise self._break(error) from error

    def _mux(self, packets: list[Packet[VideoStream]]) -> None:
        for packet in packets:
            # x265 leaves the decoding time undefined in videos that are shorter than its reordering.
            if packet.pts is not None and not _EARLIEST_DTS <= (packet.dts or 0) <= packet.pts:
                packet.dts = packet.pts
            self._container.mux(packet)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _close_container(self, already_reported: bool) -> None:
        try:
            self._container.close()
        except (av.error.FFmpegError, OSError) as error:
            if not already_reported and not self._broken:
                raise self._break(error) from error

    def _break(self, error: Exception) -> OutputError:
        self._broken = True
        return write_error(self.part, error)

    def _fit(self, frame: av.VideoFrame) -> av.VideoFrame:
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
