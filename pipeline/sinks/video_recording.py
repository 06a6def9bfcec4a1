"""`DIR/STREAM.mp4`: the annotated video of one stream."""

from __future__ import annotations

import logging
from math import inf
from pathlib import Path

from pipeline.config.schema import VideoConfig
from pipeline.sinks.sink import SinkContext, VideoInfo
from pipeline.transport.messages import FrameTracks
from pipeline.transport.planes import Planes
from pipeline.video.video_parts import concat_parts, part_path
from pipeline.video.writer import VideoWriter

log = logging.getLogger(__name__)

DEFAULT_FPS = 25.0


class VideoFile:
    """Encodes the frames. A process that is killed leaves a part; the parts become one video at the end.

    Args:
        settings: `output.video`.
        context: Of the stream.
    """

    annotated = True
    silence_every_s = inf

    def __init__(self, settings: VideoConfig, context: SinkContext) -> None:
        self._config, self._context = settings, context
        self._path = context.out / f"{context.stream}.mp4"
        self._parts: list[Path] = []
        self._writer: VideoWriter | None = None

    def begin(self, video: VideoInfo) -> None:
        """Opens the file. Frames of another size go into another one, `STREAM.001.mp4`.

        Args:
            video: What is known of the frames.

        Raises:
            OutputError: It cannot be written, or there is no encoder.
        """
        if self._writer is not None:
            self._writer.close()
        self._parts = earlier_parts(self._path, self._context.incarnation + (self._writer is not None))
        fps = video.fps or DEFAULT_FPS
        self._writer = VideoWriter(
            self._path, video.width, video.height, fps, self._config, video.sample_aspect
        )

    def wants(self, tracks: FrameTracks) -> bool:
        """Whether `output.video.fps` has room for the frame.

        Args:
            tracks: Of the frame that is due.
        """
        return self._writer is not None and self._writer.wants(tracks.pts_s)

    def ready(self) -> bool:
        """Always: encoding waits."""
        return True

    def write_frame(self, planes: Planes, tracks: FrameTracks) -> None:
        """Encodes one frame.

        Args:
            planes: Its pixels.
            tracks: Its objects, and the counts so far.

        Raises:
            OutputError: It cannot be written, for example on a full disk.
        """
        assert self._writer is not None and planes.flat is not None
        frame, _ = self._writer.frame_on(planes.flat)  # the encoder reads the shared memory itself
        self._writer.encode(frame, tracks.pts_s)

    def close(self) -> None:
        """Finishes the video and joins what earlier incarnations have written of it.

        Raises:
            OutputError: It cannot be written.
        """
        if self._writer is None:
            return
        self._writer.close()
        last = [self._path] if self._path.exists() else []
        joined = concat_parts([*self._parts, *last], self._path) if self._parts else []
        for part in joined:
            if part != self._path:
                part.unlink(missing_ok=True)  # it may have had its time
        log.info("video %s closed", self._path)

    def closed(self) -> bool:
        """Always: `close` waits."""
        return True


def earlier_parts(path: Path, incarnation: int) -> list[Path]:
    """Lists the pieces of a video that earlier incarnations left, in order.

    The incarnation before may have been killed, and left a torn `.part`, or have been stopped in order, and left a
    finished video; either becomes one more numbered piece.

    Args:
        path: Of the video.
        incarnation: How often the process was started before.
    """
    found = sorted(path.parent.glob(f"{path.stem}.[0-9][0-9][0-9].mp4"))
    number = 1 + (int(found[-1].suffixes[-2][1:]) if found else 0)
    for left in (path, part_path(path)) if incarnation > 0 else ():
        if left.exists():
            found.append(left.rename(path.with_suffix(f".{number:03d}.mp4")))
            number += 1
    return found
