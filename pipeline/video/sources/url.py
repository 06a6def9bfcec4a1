"""Addresses: RTSP is always live; behind HTTP(S) may be a camera or a plain video file."""

from __future__ import annotations

import threading
from urllib.parse import urlsplit

from av.container import InputContainer

from pipeline.config.schema import StreamConfig
from pipeline.redact import redact
from pipeline.video.sources.decoder import RTSP_OPTIONS, URL_OPTIONS, open_container
from pipeline.video.sources.live_source import LiveSource
from pipeline.video.sources.source import Position, Source
from pipeline.video.sources.video_file import FileSource, Opening

_PROBE_US = {"analyzeduration": "1000000"}
"""Microseconds that are looked at before the first frame, to learn the frame rate; FFmpeg's default is 5 s."""
_NO_PROBE = {"analyzeduration": "1", "fpsprobesize": "0"}
"""For reconnecting, where all is known already."""
_HLS_SILENCE_S = 20.0
"""HLS comes in segments: it is silent for some seconds as a rule."""
_URL_FAILED_READS = 3


def url_options(kind: str, timeout_s: float) -> dict[str, str]:
    """FFmpeg's options for an address of `kind` `rtsp` or `url`.

    Of its several timeouts, `timeout` (microseconds) is the one that ends the wait for a frozen server.
    """
    own = RTSP_OPTIONS if kind == "rtsp" else URL_OPTIONS
    return own | {"timeout": str(round(timeout_s * 1e6))}


def open_url(
    kind: str,
    url: str,
    config: StreamConfig,
    *,
    stop: threading.Event,
    first_index: int = 0,
    near: Position | None = None,
    threads: int | None = None,
) -> Source:
    """Opens an RTSP or HTTP(S) address.

    Raises:
        SourceError: it cannot be opened; one line without the password.
    """
    shown = redact(url)
    if urlsplit(url).path.endswith(".m3u8"):
        config = config.model_copy(update={"timeout_s": max(config.timeout_s, _HLS_SILENCE_S)})
    options = url_options(kind, config.timeout_s)

    def connect(probe: dict[str, str]) -> InputContainer:
        return open_container(
            url,
            options | probe,
            shown=shown,
            demuxer="rtsp" if kind == "rtsp" else None,
            timeout_s=config.timeout_s,
        )

    first = connect(_PROBE_US)
    if kind == "url" and first.duration is not None and first.duration > 0:
        first.close()
        opening = Opening(kind, url, shown, options, config.timeout_s, _URL_FAILED_READS)
        return FileSource(opening, config, stop=stop, first_index=first_index, near=near, threads=threads)
    return LiveSource(kind, shown, lambda: connect(_NO_PROBE), config, stop=stop, first=first)
