"""`DIR/video/STREAM/`: the annotated video of a stream without end, in files of an hour."""

from __future__ import annotations

import logging
from math import inf

from pipeline.config.schema import VideoConfig
from pipeline.files import unwritable
from pipeline.sinks.sink import SinkContext, VideoInfo
from pipeline.sinks.video_recording import DEFAULT_FPS, earlier_parts
from pipeline.transport.messages import FrameTracks
from pipeline.transport.planes import Planes
from pipeline.video.video_index import (
    VideoEntry,
    add_to_index,
    finish_parts,
    new_video,
    utc_text,
    video_folder,
)
from pipeline.video.writer import VideoWriter

log = logging.getLogger(__name__)


class VideoFiles:
    """Encodes the frames into files that begin with each hour (`output.video.file_s`) and each epoch of the source.

    Each file is finished when the next one begins, is named by its stream and start time, and stands in `index.csv`.
    The file of a process that was killed is kept as far as it can be played.

    Args:
        settings: `output.video`.
        context: Of the stream.
    """

    annotated = True
    silence_every_s = inf

    def __init__(self, settings: VideoConfig, context: SinkContext) -> None:
        self._config, self._context = settings, context
        self._folder = video_folder(context.out, context.stream)
        self._video: VideoInfo | None = None
        self._writer: VideoWriter | None = None
        self._first: FrameTracks | None = None
        self._last: FrameTracks | None = None
        self._frames = 0

    def begin(self, video: VideoInfo) -> None:
        """Makes the folder, and keeps what a killed process or another setting has left. Begins a new file where frames
        have got another size.

        Args:
            video: What is known of the frames.

        Raises:
            OutputError: It cannot be written.
        """
        self._finish()
        self._video = video
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            # one file from start to stop, as earlier versions wrote it, or with `file_s: null`
            earlier_parts(self._context.out / f"{self._context.stream}.mp4", 1)
        except OSError as error:
            raise unwritable(self._folder, error) from error
        if kept := finish_parts(self._folder):
            add_to_index(self._folder, kept)

    def wants(self, tracks: FrameTracks) -> bool:
        """Whether `output.video.fps` has room for the frame.

        Args:
            tracks: Of the frame that is due.
        """
        return self._writer is None or self._writer.wants(tracks.pts_s)

    def ready(self) -> bool:
        """Always: encoding waits."""
        return True

    def write_frame(self, planes: Planes, tracks: FrameTracks) -> None:
        """Encodes one frame, the first one of a file where one is due.

        Args:
            planes: Its pixels.
            tracks: Its objects, and the counts so far.

        Raises:
            OutputError: It cannot be written, for example on a full disk.
        """
        if self._writer is None or self._is_over(tracks):
            self._finish()
            self._open(tracks)
        assert self._writer is not None and planes.flat is not None
        frame, _ = self._writer.frame_on(planes.flat)  # the encoder reads the shared memory itself
        self._writer.encode(frame, tracks.pts_s)
        self._last = tracks
        self._frames += 1

    def close(self) -> None:
        """Finishes the file.

        Raises:
            OutputError: It cannot be written.
        """
        self._finish()

    def closed(self) -> bool:
        """Always: `close` waits."""
        return True

    def _is_over(self, tracks: FrameTracks) -> bool:
        """Whether a frame belongs into another file than the one before."""
        assert self._first is not None and self._config.file_s is not None
        period_s = self._config.file_s
        return (
            tracks.epoch != self._first.epoch or tracks.wall_s // period_s != self._first.wall_s // period_s
        )

    def _open(self, tracks: FrameTracks) -> None:
        video = self._video
        assert video is not None
        path = new_video(self._folder, self._context.stream, tracks.wall_s)
        self._writer = VideoWriter(
            path, video.width, video.height, video.fps or DEFAULT_FPS, self._config, video.sample_aspect
        )
        self._writer.wants(tracks.pts_s)
        self._first, self._frames = tracks, 0

    def _finish(self) -> None:
        writer, self._writer = self._writer, None
        if writer is None:
            return
        writer.close()
        first, last, video = self._first, self._last, self._video
        if first is None or last is None or video is None or not self._frames or writer.broken:
            return
        width, height = writer.out_size
        entry = VideoEntry(
            file=writer.path.name,
            start=utc_text(first.wall_s),
            end=utc_text(last.wall_s),
            first_pts_s=round(first.pts_s, 6),
            last_pts_s=round(last.pts_s, 6),
            epoch=first.epoch,
            frames=self._frames,
            width=width,
            height=height,
        )
        self._keep(entry)

    def _keep(self, entry: VideoEntry) -> None:
        """A file is finished."""
        add_to_index(self._folder, [entry])
        log.info("video %s closed", self._folder / entry.file, extra={"stream": self._context.stream})
