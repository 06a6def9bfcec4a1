"""The pieces of an annotated video that killed writers leave, and how they become one file again."""

from __future__ import annotations

import errno
import os
import re
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from pipeline.errors import OutputError
from pipeline.files import unwritable

MOVFLAGS = "hybrid_fragmented+frag_keyframe+delay_moov"
"""The file is fragmented while it is written and an ordinary MP4 once it is closed. `delay_moov` lets time start at 0
in spite of B-frames."""
CLOCK_HZ = 90_000
"""Ticks per second of the timestamps in annotated videos."""
MAX_STEP = 3600 * CLOCK_HZ
"""Longest time between two frames, in ticks. FFmpeg's MP4 muxer stores 31 bits of ticks for a frame's duration and for
its reordering, which spans several frames: 6 h 37 min in all."""
_START = re.compile(r"^start_s=([0-9.]+)$")


def part_path(path: Path) -> Path:
    """Path of a video while it is being written.

    Args:
        path: Of the finished video.
    """
    return path.with_name(path.name + ".part")


def start_comment(start_s: float) -> str:
    """The `comment` metadata of an annotated video: media time of its first frame.

    Args:
        start_s: Media time, seconds.
    """
    return f"start_s={start_s:.6f}"


def gap_steps(last: int, following: int) -> range:
    """Where frames have to be inserted, so that no two are more than `MAX_STEP` apart.

    Args:
        last: time of the last frame in ticks; negative if there is none.
        following: time of the next frame.

    Returns:
        The times of the frames to insert: from one second after the last frame on, one every hour; none if the gap
        is shorter than that.
    """
    if last < 0 or following - last <= MAX_STEP:
        return range(0)
    return range(last + CLOCK_HZ, following, MAX_STEP)


def concat_parts(parts: list[Path], out: Path) -> list[Path]:
    """Joins the pieces of a stream's video without re-encoding.

    Each piece goes where its own start time puts it, but never before the end of the previous one. A gap of more than
    an hour between two pieces shows the first picture of the second one. Unreadable pieces (of a writer that was
    killed before its first fragment) are skipped, and so are those whose pictures have another size than those of the
    last piece.

    Args:
        parts: the pieces, in order; they are not removed.
        out: the joined video; may be one of `parts`.

    Returns:
        The pieces that are in `out`, or hold nothing; empty if none can be read, and `out` is left alone.

    Raises:
        OutputError: `out` cannot be written.
    """
    joining = out.with_name(out.name + ".joining")
    joined: list[Path] = []
    sizes = {part: _size(part) for part in parts}
    wanted = next((size for part in reversed(parts) if (size := sizes[part])), None)
    try:
        with av.open(str(joining), "w", format="mp4", options={"movflags": MOVFLAGS}) as target:
            stream: VideoStream | None = None
            first_s, end = 0.0, 0
            for part in (part for part in parts if sizes[part] == wanted):
                try:
                    source = av.open(f"file:{part.absolute()}", "r", options={"protocol_whitelist": "file"})
                except (av.error.FFmpegError, OSError):
                    continue
                with source:
                    if not source.streams.video:
                        continue
                    start_s = start_of(source.metadata.get("comment", ""))
                    if stream is None:
                        stream = target.add_stream_from_template(source.streams.video[0])
                        target.metadata["comment"] = start_comment(start_s)
                        first_s = start_s
                    end = _copy_packets(source, target, stream, round((start_s - first_s) * CLOCK_HZ), end)
                    joined.append(part)
        if joined:
            os.replace(joining, out)
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise write_error(out, error) from error
    finally:
        joining.unlink(missing_ok=True)
    return joined and [part for part in parts if part in joined or sizes[part] is None]


def _copy_packets(
    source: InputContainer, target: OutputContainer, stream: VideoStream, start: int, end: int
) -> int:
    """Copies the intact packets of one piece.

    Args:
        source: the piece.
        target: where its packets go.
        stream: of `target`.
        start: where the piece belongs, in ticks of `target`.
        end: end of what is in `target` already; the piece does not start before it.

    Returns:
        The new end.
    """
    offset: int | None = None
    latest = end
    video = source.streams.video[0]
    try:
        for packet in source.demux(video):
            if packet.dts is None or packet.pts is None or packet.is_corrupt:
                continue
            ticks = packet.time_base * CLOCK_HZ
            pts, dts = round(packet.pts * ticks), round(packet.dts * ticks)
            if offset is None:
                offset = max(start, end) - pts  # the first packet is a keyframe: no frame is shown before it
                for missing in gap_steps(end or -1, dts + offset):
                    target.mux(_copy_of(packet, stream, missing))
            duration = round((packet.duration or 0) * ticks)
            packet.time_base = Fraction(1, CLOCK_HZ)
            packet.pts, packet.dts, packet.duration = pts + offset, dts + offset, duration
            latest = max(latest, pts + offset + max(1, duration))
            packet.stream = stream
            target.mux(packet)
    except av.error.InvalidDataError:
        pass  # the incomplete last fragment of a killed writer; everything before it is copied
    return latest


def _copy_of(packet: Packet[VideoStream], stream: VideoStream, pts: int) -> Packet[VideoStream]:
    """A keyframe's packet again at another time."""
    again = cast("Packet[VideoStream]", Packet(bytes(packet)))
    again.is_keyframe = True
    again.stream, again.time_base, again.pts, again.dts = stream, Fraction(1, CLOCK_HZ), pts, pts
    return again


def start_of(comment: str) -> float:
    """Media time of the first frame of an annotated video, seconds; 0 where it is not stated.

    Args:
        comment: Its metadata `comment`.
    """
    found = _START.match(comment)
    return float(found.group(1)) if found else 0.0


def write_error(path: Path, error: Exception) -> OutputError:
    """A one-line error about a video that cannot be written, with advice.

    Args:
        path: Of the video.
        error: What went wrong.
    """
    return unwritable(path, error, _advice(error))


def _advice(error: Exception) -> str:
    code = getattr(error, "errno", None)
    if code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return "free some space or choose another folder with --out"
    if code in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR, errno.EEXIST):
        return "check the folder and its permissions, or choose another with --out"
    return "check the video settings of the configuration"


def _size(part: Path) -> tuple[int, int] | None:
    """Width and height of a piece; None if it cannot be read."""
    try:
        with av.open(f"file:{part.absolute()}", "r", options={"protocol_whitelist": "file"}) as source:
            stream = source.streams.video[0]
            return stream.width, stream.height
    except (av.error.FFmpegError, OSError, IndexError):
        return None
