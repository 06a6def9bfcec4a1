"""Streams that come over the network without RTSP: RTMP, and MPEG-TS over UDP or TCP."""

from __future__ import annotations

from av.container import InputContainer

from pipeline.video.sources.address import scheme_of
from pipeline.video.sources.decoder import open_container
from pipeline.video.sources.live_source import LiveSource
from pipeline.video.sources.source import Source, SourceRequest

_PROBE = {"analyzeduration": "2000000"}
"""Microseconds: who joins a stream in its middle waits for its tables and for a keyframe."""
_OPTIONS: dict[str, dict[str, str]] = {
    "rtmp": {"protocol_whitelist": "rtmp,rtmps,rtmpt,tcp,tls,http,https", "format_whitelist": "flv,live_flv"},
    "udp": {
        "protocol_whitelist": "udp,rtp",
        "format_whitelist": "mpegts",
        "overrun_nonfatal": "1",
        "fifo_size": "50000",
    },
    "tcp": {"protocol_whitelist": "tcp", "format_whitelist": "mpegts"},
}
_DEMUXERS = {"rtmp": "flv", "udp": "mpegts", "tcp": "mpegts"}


def open_network(request: SourceRequest) -> Source:
    """Opens `rtmp(s)://`, `udp://` or `tcp://`.

    Args:
        request: Its address, settings and where to begin.

    Raises:
        SourceError: it cannot be opened, or nothing arrives; one line without the password.
    """
    first = _connect(request)
    return LiveSource(request, lambda: _connect(request), first=first)


def _connect(request: SourceRequest) -> InputContainer:
    scheme = scheme_of(request.target)
    kind = "rtmp" if scheme.startswith("rtmp") else scheme
    timeout_s = request.config.timeout_s
    options = _OPTIONS.get(kind, {"protocol_whitelist": "srt,udp", "format_whitelist": "mpegts"}) | _PROBE
    if kind == "udp":
        options["timeout"] = str(round(timeout_s * 1e6))
    return open_container(
        request.target,
        options,
        shown=request.shown,
        demuxer=_DEMUXERS.get(kind, "mpegts"),
        timeout_s=max(timeout_s, 5.0),
    )
