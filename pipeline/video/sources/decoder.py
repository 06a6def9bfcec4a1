"""Opening and decoding through PyAV, as shared by files, URLs and cameras.

Each kind of source lists the protocols and formats it may use, so that a playlist or a hostile address cannot reach
other files on this machine. The text of a PyAV error contains the URL with its password: messages use `reason`.
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
from pipeline.video.sources.source import SourceStats

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
"""Consecutive failed reads after which a file is considered ended. Some containers resume after a damaged part."""

_NOT_A_VIDEO = (
    "not a video that can be read, or truncated before its index; "
    "expected MP4, MKV, AVI, MPEG-TS or similar; check whether a video player can open it"
)


def reason(error: Exception) -> str:
    """The cause of an error, without the address that FFmpeg's message contains.

    Args:
        error: Of PyAV or the operating system.
    """
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
    """Opens a container for reading.

    Args:
        url: address or path, as FFmpeg takes it.
        options: of the demuxer and the protocol, whitelists included.
        shown: the address for messages, without secrets.
        demuxer: FFmpeg's name of the format; None detects it.
        timeout_s: limit for opening and for each later read; None waits indefinitely.

    Raises:
        SourceError: one line that names `shown` instead of the address.
    """
    started_s = time.monotonic()
    try:
        return av.open(url, "r", format=demuxer, options=options, timeout=timeout_s)
    except (av.error.FFmpegError, OSError, ValueError) as error:
        code = getattr(error, "errno", None)
        # FFmpeg reports an interrupted read in many ways, invalid data among them.
        if timeout_s is not None and time.monotonic() - started_s >= timeout_s:
            why = f"no answer within {timeout_s:g} s"
        elif isinstance(error, av.error.InvalidDataError) or (
            code == errno.EINVAL and url.startswith("file:")
        ):
            why = _NOT_A_VIDEO if demuxer is None else f"the server does not speak {demuxer.upper()}"
        elif isinstance(error, av.error.HTTPUnauthorizedError):
            why = "the server rejected the user name or password (401)"
        elif "://" in url and code == errno.EIO:
            why = "cannot be reached; is the host name right?"
        else:
            why = f"cannot be opened: {reason(error)}"
        raise SourceError(f"{shown}: {why}") from error


def video_stream(container: InputContainer, shown: str) -> VideoStream:
    """Selects the container's main video stream and discards all others.

    Attached pictures, such as the cover of a recording, do not count as video.

    Args:
        container: opened for reading.
        shown: its address for messages, without secrets.

    Raises:
        SourceError: there is no video, or its codec is unknown.
    """
    videos = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if not videos:
        kinds = ", ".join(sorted({s.type for s in container.streams})) or "nothing"
        raise SourceError(
            f"{shown}: contains no video stream (found: {kinds}); give a file or address with video"
        )
    best = container.streams.best("video")
    stream = next((s for s in videos if best is not None and s.index == best.index), videos[0])
    if stream.codec_context is None or not _has_decoder(stream):
        tag = getattr(stream, "codec_tag", "") or "?"
        raise SourceError(f"{shown}: its video codec ({tag!r}) is unknown; convert it to H.264")
    for other in container.streams:
        if other.index != stream.index:
            other.discard = Discard.all
    return stream


def _has_decoder(stream: VideoStream) -> bool:
    try:
        return bool(stream.codec_context.codec.name)
    except (av.error.FFmpegError, ValueError, AttributeError):
        return False


def _packets(container: InputContainer, stream: VideoStream) -> Iterator[av.Packet[VideoStream]]:
    try:
        yield from container.demux(stream)
    except IndexError:
        # PyAV 18 raises it at the end of an MPEG-TS in which damage created spurious streams; ours has ended.
        return


def decoded(
    container: InputContainer,
    stream: VideoStream,
    stats: SourceStats,
    ended: Callable[[], bool],
    *,
    failed_reads_max: int = MAX_FAILED_READS,
) -> Iterator[av.VideoFrame]:
    """Yields every frame that can be decoded, in presentation order.

    Damaged data is counted and skipped; it raises nothing.

    Args:
        container: opened for reading.
        stream: the video stream of it.
        stats: counts errors.
        ended: polled between packets; ends the frames.
        failed_reads_max: consecutive read errors after which the frames end.
    """
    failed_reads = 0
    while not ended():
        try:
            for packet in _packets(container, stream):
                failed_reads = 0
                if packet.is_corrupt:
                    stats.record_error("a packet is damaged")
                yield from decode_packet(packet, stream, stats)
                if ended():
                    return
            return
        except (av.error.FFmpegError, OSError) as error:
            failed_reads += 1
            stats.record_error(f"read error: {reason(error)}")
            if failed_reads >= failed_reads_max:
                yield from decode_packet(None, stream, stats)
                return


def live_packets(
    container: InputContainer, stream: VideoStream, timeout_s: float
) -> Iterator[tuple[av.Packet[VideoStream], float]]:
    """Yields the packets of a live input, and when they came, until it ends, or nothing arrives for `timeout_s`.

    When a read times out, FFmpeg first returns the packet that its parser held back, and would report the failure
    only after a second timeout. So the time between packets is checked here, and that packet came with the one before.

    Args:
        container: opened with the same `timeout_s`.
        stream: the video stream of it.
        timeout_s: longest time between two packets, in seconds.

    Yields:
        A packet, and when it came on the monotonic clock.

    Raises:
        OSError, av.error.FFmpegError: the connection was lost or timed out.
    """
    waiting_since_s = time.monotonic()
    for packet in _packets(container, stream):
        now_s = time.monotonic()
        timed_out = now_s - waiting_since_s >= timeout_s
        yield packet, waiting_since_s if timed_out else now_s
        if timed_out:
            raise TimeoutError(errno.ETIMEDOUT, f"no data for {timeout_s:g} s")
        waiting_since_s = time.monotonic()


def decode_packet(
    packet: av.Packet[VideoStream] | None, stream: VideoStream, stats: SourceStats
) -> list[av.VideoFrame]:
    """Feeds one packet to the decoder.

    Args:
        packet: None flushes the decoder at the end of the stream.
        stream: whose decoder is used.
        stats: counts errors.

    Returns:
        The frames that became available; empty if decoding failed.
    """
    try:
        frames = stream.decode(packet)
    except av.error.EOFError:
        return []
    except (av.error.FFmpegError, ValueError) as error:
        stats.record_error(f"decoding error: {reason(error)}")
        return []
    for frame in frames:
        if frame.is_corrupt:
            stats.record_error("a frame is damaged")
    return frames
