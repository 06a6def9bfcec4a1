"""Opening a source, whatever is behind its address: `open_source`."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import tzinfo
from importlib.metadata import EntryPoint
from typing import Any, TypeAlias

from pipeline.config.schema import StreamConfig
from pipeline.errors import SourceError
from pipeline.redact import shown
from pipeline.video.sources.kinds import ENTRY_POINTS, SourceKind, find_kind
from pipeline.video.sources.source import FramePosition, Source, SourceRequest

Factory: TypeAlias = Callable[[SourceRequest], Source]
"""Opens a source, or raises `SourceError` with one line that holds no password."""


def open_source(
    config: StreamConfig,
    *,
    stop: threading.Event,
    first_index: int = 0,
    seek_hint: FramePosition | None = None,
    decoder_threads: int | None = None,
    zone: tzinfo | None = None,
) -> Source:
    """Opens the source that `config.source` names.

    Args:
        config: settings of the stream.
        stop: ends the source's frames when set.
        first_index: see `SourceRequest.first_index`.
        seek_hint: see `SourceRequest.seek_hint`.
        decoder_threads: threads for a video with an end, by default up to four. Live sources use one, which adds
            no delay.
        zone: see `SourceRequest.zone`.

    Raises:
        SourceError: the source cannot be opened; one line without passwords.
    """
    kind = find_kind(config.source)
    request = SourceRequest(
        kind=kind.name,
        target=kind.target(config.source),
        config=config,
        stop=stop,
        first_index=first_index,
        seek_hint=seek_hint,
        decoder_threads=decoder_threads,
        zone=zone,
    )
    source = _factory(kind)(request)
    missing = [name for name in ("info", "stats", "frames", "close") if not hasattr(source, name)]
    if missing:
        raise SourceError(
            f"{request.shown}: {kind.factory} returned a {type(source).__name__}, which has no "
            f"{' and no '.join(missing)}; a source has those of pipeline.video.sources.source.Source"
        )
    return source


def _factory(kind: SourceKind) -> Factory:
    """Imports a row's factory.

    Raises:
        SourceError: it cannot be imported.
    """
    try:
        factory: Any = EntryPoint(kind.name, kind.factory, ENTRY_POINTS).load()
    except Exception as error:  # a module of another package may raise anything
        what = str(error) if isinstance(error, ImportError | AttributeError) else repr(error)
        raise SourceError(
            f"{kind.example or kind.name}: {kind.factory} cannot be imported: {shown(what, 200)}"
        ) from error
    if not callable(factory):
        raise SourceError(
            f"{kind.example or kind.name}: {kind.factory} is no function; expected one that opens a source"
        )
    return factory  # type: ignore[no-any-return]
