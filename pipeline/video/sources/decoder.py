"""Opening and decoding through PyAV: what files, URLs and cameras share.

Each kind of source names the protocols and formats it may use, so that a playlist or a hostile address cannot
reach other files of this machine. `str(error)` of PyAV holds the URL with its password: only `reason` is shown.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Iterator

import av
from av.container import InputContainer
from av.stream import Discard, Disposition
from av.video.stream import VideoStream

from pipeline.errors import SourceError
from pipeline.video.sources.source import DEFAULT_FPS, SourceStats

CONTAINERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpegtsraw,mpeg,flv,live_flv,asf,ogg,mxf,dv,nut,ivf,obu,av1,h264,"
    "hevc,vvc,m4v,mpegvideo,mjpeg,h263,h261,vc1,yuv4mpegpipe,dhav,gif,apng,rm,wtv,swf,"
    "jpeg_pipe,png_pipe,bmp_pipe,webp_pipe,tiff_pipe,webp"
)
FILE_OPTIONS = {"protocol_whitelist": "file", "format_whitelist": CONTAINERS}
URL_OPTIONS = {
    "protocol_whitelist": "http,https,httpproxy,tcp,tls,crypto",
    "format_whitelist": CONTAINERS + ",hls,mpjpeg",
}
RTSP_OPTIONS = {
    "protocol_whitelist": "rtp,srtp,tcp,tls,udp,http,https,crypto",
    "format_whitelist": "rtsp",
    "rtsp_transport": "tcp",
}
MAX_FAILED_READS = 50
"""Failed reads in a row after which a file counts as ended: some containers go on behind a damaged part."""

_NOT_A_VIDEO = (
    "not a video that can be read, or cut off before its index; "
    "expected MP4, MKV, AVI, MPEG-TS or the like; play it to see whether it is whole"
)
MAX_FPS = 240.0
"""Above it a stated rate is a time base, not a rate: some containers state 1000 or 90000."""


def reason(error: Exception) -> str:
    """What went wrong, without the address that FFmpeg's own text holds."""
    text = getattr(error, "strerror", None)
    return str(text) if text else type(error).__name__


def open_container(
    url: str,
    options: dict[str, str],
    *,
    shown: str,
    demuxer: str | None = None,
    timeout_s: float | None = None,
) -> InputContainer:
    """Opens `url` for reading.

    Raises:
        SourceError: one line with `shown` in place of the address.
    """
    began_s = time.monotonic()
    try:
        return av.open(url, "r", format=demuxer, options=options, timeout=timeout_s)
    except (av.error.FFmpegError, OSError, ValueError) as error:
        code = getattr(error, "errno", None)
        # An interrupted wait is reported in many ways, as invalid data, too.
        if timeout_s is not None and time.monotonic() - began_s >= timeout_s:
            why = f"no answer within {timeout_s:g} s"
        elif isinstance(error, av.error.InvalidDataError) or (
            code == errno.EINVAL and url.startswith("file:")
        ):
            why = _NOT_A_VIDEO if demuxer is None else f"what answers there is not {demuxer.upper()}"
        elif isinstance(error, av.error.HTTPUnauthorizedError):
            why = "the server refuses the user name or password (401)"
        elif "://" in url and code == errno.EIO:
            why = "cannot be reached; is the host name right?"
        else:
            why = f"cannot be opened: {reason(error)}"
        raise SourceError(f"{shown}: {why}") from error


def video_stream(container: InputContainer, shown: str) -> VideoStream:
    """The container's main video stream, ready to be decoded; all other streams are left unread.

    Raises:
        SourceError: there is no video, or its codec is not known.
    """
    videos = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if not videos:
        kinds = ", ".join(sorted({s.type for s in container.streams})) or "nothing"
        raise SourceError(f"{shown}: has no video stream (found: {kinds}); give a file or address with video")
    best = container.streams.best("video")
    stream = next((s for s in videos if best is not None and s.index == best.index), videos[0])
    if stream.codec_context is None or not _known(stream):
        tag = getattr(stream, "codec_tag", "") or "?"
        raise SourceError(f"{shown}: its video codec ({tag!r}) is not known; convert it to H.264")
    for other in container.streams:
        if other.index != stream.index:
            other.discard = Discard.all
    return stream


def _known(stream: VideoStream) -> bool:
    try:
        return bool(stream.codec_context.codec.name)
    except (av.error.FFmpegError, ValueError, AttributeError):
        return False


def nominal_fps(stream: VideoStream) -> float | None:
    """Frames of one second as the container states them; None where it states nothing sensible."""
    for rate in (stream.average_rate, stream.guessed_rate, stream.base_rate):
        if rate is not None and 0.0 < float(rate) <= MAX_FPS:
            return float(rate)
    return None


def raw_time_s(frame: av.VideoFrame, stream: VideoStream) -> float | None:
    """The frame's own timestamp in seconds, from wherever the container counts; None where it has none."""
    if frame.pts is None or stream.time_base is None:
        return None
    return float(frame.pts * stream.time_base)


def _packets(container: InputContainer, stream: VideoStream) -> Iterator[av.Packet[VideoStream]]:
    try:
        yield from container.demux(stream)
    except IndexError:
        # PyAV 18 at the end of an MPEG-TS whose damage made up streams: ours has ended already.
        return


def decoded(
    container: InputContainer,
    stream: VideoStream,
    stats: SourceStats,
    ended: Callable[[], bool],
    *,
    failed_reads_max: int = MAX_FAILED_READS,
) -> Iterator[av.VideoFrame]:
    """Every frame that can be decoded, in order of presentation; damage is counted and passed over.

    Read errors end the frames after `failed_reads_max` in a row. Nothing is raised for damaged data.
    """
    failed_reads = 0
    while not ended():
        try:
            for packet in _packets(container, stream):
                failed_reads = 0
                if packet.is_corrupt:
                    stats.damage("a packet is damaged")
                yield from decode_packet(packet, stream, stats)
                if ended():
                    return
            return
        except (av.error.FFmpegError, OSError) as error:
            failed_reads += 1
            stats.damage(f"cannot read on: {reason(error)}")
            if failed_reads >= failed_reads_max:
                yield from decode_packet(None, stream, stats)
                return


def live_packets(
    container: InputContainer, stream: VideoStream, timeout_s: float
) -> Iterator[av.Packet[VideoStream]]:
    """Packets of an input opened with `timeout_s`, until it ends nevertheless or is silent for so long.

    After such a silence FFmpeg first hands out the packet that its parser held back, and would report the
    failure after a second silence only.

    Raises:
        OSError, av.error.FFmpegError: the connection was lost or is silent.
    """
    waits_s = time.monotonic()
    for packet in _packets(container, stream):
        silent = time.monotonic() - waits_s >= timeout_s
        yield packet
        if silent:
            raise TimeoutError(errno.ETIMEDOUT, f"silent for {timeout_s:g} s")
        waits_s = time.monotonic()


def decode_packet(
    packet: av.Packet[VideoStream] | None, stream: VideoStream, stats: SourceStats
) -> list[av.VideoFrame]:
    """The frames that come out of the decoder when `packet` goes in (None: its end); damage is counted."""
    try:
        frames = stream.decode(packet)
    except av.error.EOFError:
        return []
    except (av.error.FFmpegError, ValueError) as error:
        stats.damage(f"cannot decode: {reason(error)}")
        return []
    for frame in frames:
        if frame.is_corrupt:
            stats.damage("a frame is damaged")
    return frames


def fps_or_default(fps: float | None) -> float:
    return fps if fps is not None else DEFAULT_FPS
