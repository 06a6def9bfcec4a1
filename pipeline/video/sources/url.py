"""Sources behind URLs. RTSP is always live; behind HTTP(S) there may be a camera or an ordinary video file."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import urlsplit

from av.container import InputContainer

from pipeline.video.sources.decoder import RTSP_OPTIONS, URL_OPTIONS, open_container
from pipeline.video.sources.file_decoder import ContainerOpener
from pipeline.video.sources.live_source import LiveSource
from pipeline.video.sources.source import Source, SourceRequest
from pipeline.video.sources.video_file import FileSource

_PROBE = {"analyzeduration": "1000000"}
"""Microseconds analysed before the first frame to estimate the frame rate; FFmpeg's default is 5 s."""
_NO_PROBE = {"analyzeduration": "1", "fpsprobesize": "0"}
"""For reconnecting: everything is known by then."""
_HLS_SILENCE_S = 20.0
"""HLS arrives in segments, so pauses of several seconds are normal."""
_URL_FAILED_READS = 3


def url_options(kind: str, timeout_s: float, transport: str = "tcp") -> dict[str, str]:
    """FFmpeg's options for a URL.

    Args:
        kind: `rtsp` or `url`.
        timeout_s: longest wait for data. Of FFmpeg's several timeouts, `timeout` (microseconds) is the one that
            also ends the wait for a server that hangs.
        transport: of RTSP's media, `tcp` or `udp`.
    """
    own = RTSP_OPTIONS | {"rtsp_transport": transport} if kind == "rtsp" else URL_OPTIONS
    return own | {"timeout": str(round(timeout_s * 1e6))}


def open_rtsp(request: SourceRequest) -> Source:
    """Opens an RTSP camera.

    Args:
        request: Its address, settings and where to begin.

    Raises:
        SourceError: it cannot be opened; one line without the password.
    """
    first = _connect(request, _PROBE, demuxer="rtsp")
    return LiveSource(request, lambda: _connect(request, _NO_PROBE, demuxer="rtsp"), first=first)


def open_http(request: SourceRequest) -> Source:
    """Opens an HTTP(S) address: as a file if the container states a duration, else as a live source.

    Args:
        request: Its address, settings and where to begin.

    Raises:
        SourceError: it cannot be opened; one line without the password.
    """
    if urlsplit(request.target).path.endswith(".m3u8"):
        timeout_s = max(request.config.timeout_s, _HLS_SILENCE_S)
        request = replace(request, config=request.config.model_copy(update={"timeout_s": timeout_s}))
    first = _connect(request, _PROBE)
    paced = first.format.name == "hls"
    if first.duration is None or first.duration <= 0:
        return LiveSource(request, lambda: _connect(request, _NO_PROBE), first=first, paced=paced)
    first.close()
    timeout_s = request.config.timeout_s
    opener = ContainerOpener(
        request.target, request.shown, url_options("url", timeout_s), timeout_s, _URL_FAILED_READS
    )
    return FileSource(request, opener)


def _connect(request: SourceRequest, probe: dict[str, str], demuxer: str | None = None) -> InputContainer:
    timeout_s = request.config.timeout_s
    options = url_options(request.kind, timeout_s, request.config.rtsp_transport) | probe
    return open_container(request.target, options, shown=request.shown, demuxer=demuxer, timeout_s=timeout_s)
