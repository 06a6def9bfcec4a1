"""The table of sources: which addresses there are, and what opens them.

A source is one file with a factory, and one row in `SOURCE_KINDS`. Packages add sources of their own through the
entry-point group `tallycam.sources`; see docs/sources.md. This module is light: `--help` imports it.
"""

from __future__ import annotations

import difflib
import functools
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points

from pipeline.config.schema import StreamConfig
from pipeline.errors import SourceError
from pipeline.redact import shown
from pipeline.video.sources.address import (
    after_scheme,
    device_number,
    is_file,
    is_folder,
    is_pipe,
    is_recordings,
    is_snapshot,
    local_path,
    path_text,
    scheme_of,
    snapshot_url,
    srt_address,
    udp_address,
    url_with_host,
)

ENTRY_POINTS = "tallycam.sources"
"""Entry-point group. The name of an entry is a scheme, its value a factory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceKind:
    """One row of the table.

    Attributes:
        name: of the kind, as in `SourceInfo.kind`.
        factory: `module:function` that opens it (`registry.Factory`); imported when a source of this kind is opened.
        example: how an address of this kind is written, for help and error messages; empty for rarer kinds.
        schemes: address schemes of this kind; empty for paths.
        accepts: whether an address is of this kind; default: its scheme is one of `schemes`.
        target: the part of an address that the factory needs. Raises `SourceError` for a malformed address.
        replayable: opened again, the source gives the same frames under the same indices.
    """

    name: str
    factory: str
    example: str
    schemes: tuple[str, ...] = ()
    accepts: Callable[[str], bool] | None = None
    target: Callable[[str], str] = after_scheme
    replayable: bool = False

    @property
    def on_disk(self) -> bool:
        """Whether addresses of this kind are paths of this machine that can be opened at any time."""
        return not self.schemes and self.replayable

    def matches(self, address: str) -> bool:
        """Whether an address is of this kind.

        Args:
            address: As it is written in the configuration.
        """
        return self.accepts(address) if self.accepts else scheme_of(address) in self.schemes


SOURCE_KINDS = (
    SourceKind(
        name="pipe",
        factory="pipeline.video.sources.pipe:open_pipe",
        example="",
        accepts=is_pipe,
        target=lambda address: address,
    ),
    SourceKind(
        name="file",
        factory="pipeline.video.sources.video_file:open_file",
        example="a video file",
        accepts=is_file,
        target=path_text,
        replayable=True,
    ),
    SourceKind(
        name="recordings",
        factory="pipeline.video.sources.video_folder:open_folder",
        example="a folder of videos",
        accepts=is_recordings,
        target=path_text,
        replayable=True,
    ),
    SourceKind(
        name="images",
        factory="pipeline.video.sources.image_folder:ImageFolderSource",
        example="one of images",
        accepts=is_folder,
        target=path_text,
        replayable=True,
    ),
    SourceKind(
        name="camera",
        factory="pipeline.video.sources.v4l2:open_camera",
        example="camera:N",
        schemes=("camera",),
        target=device_number,
    ),
    SourceKind(
        name="rtsp",
        factory="pipeline.video.sources.url:open_rtsp",
        example="rtsp(s)://HOST/...",
        schemes=("rtsp", "rtsps"),
        target=url_with_host,
    ),
    SourceKind(
        name="snapshot",
        factory="pipeline.video.sources.snapshot:SnapshotSource",
        example="",
        schemes=("snapshot",),
        accepts=is_snapshot,
        target=snapshot_url,
    ),
    SourceKind(
        name="rtmp",
        factory="pipeline.video.sources.network_source:open_network",
        example="rtmp://HOST/...",
        schemes=("rtmp", "rtmps"),
        target=url_with_host,
    ),
    SourceKind(
        name="udp",
        factory="pipeline.video.sources.network_source:open_network",
        example="udp://@:PORT",
        schemes=("udp",),
        target=udp_address,
    ),
    SourceKind(
        name="tcp",
        factory="pipeline.video.sources.network_source:open_network",
        example="",
        schemes=("tcp",),
        target=url_with_host,
    ),
    SourceKind(
        name="srt",
        factory="pipeline.video.sources.network_source:open_network",
        example="",
        schemes=("srt",),
        target=srt_address,
    ),
    SourceKind(
        name="url",
        factory="pipeline.video.sources.url:open_http",
        example="http(s)://HOST/...",
        schemes=("http", "https"),
        target=url_with_host,
    ),
    SourceKind(
        name="synthetic",
        factory="pipeline.demo.scene_source:SceneSource",
        example="synthetic:SEED",
        schemes=("synthetic",),
        replayable=True,
    ),
)
"""The first row that accepts an address takes it: an existing path wins, whatever its name looks like."""


def examples() -> str:
    """The kinds of address there are, for help and error messages."""
    *first, last = (kind.example for kind in SOURCE_KINDS if kind.example)
    return f"{', '.join(first)} or {last}"


def is_recording(stream: StreamConfig) -> bool:
    """Whether a stream comes to an end and can be read again: every frame of it counts, whatever happens.

    Args:
        stream: its configuration. A path that does not exist (any more) is one of a recording.
    """
    try:
        replayable = find_kind(stream.source).replayable
    except SourceError:
        replayable = scheme_of(stream.source) in ("", "file")
    return replayable and not stream.realtime and not stream.loop and not stream.follow


def is_endless(stream: StreamConfig) -> bool:
    """Whether a stream has no end of its own: a camera, or a file that is played again and again or grows.

    Args:
        stream: its configuration.
    """
    try:
        replayable = find_kind(stream.source).replayable
    except SourceError:
        replayable = scheme_of(stream.source) in ("", "file")
    return stream.loop or stream.follow or not replayable


def find_kind(address: str) -> SourceKind:
    """The row of the table for an address, or a row made of the entry point for its scheme.

    Args:
        address: As it is written in the configuration.

    Raises:
        SourceError: a missing path, or an unknown scheme; FFmpeg's protocols (`concat:`, `subfile,`, `pipe:`) are
            not opened.
    """
    for kind in SOURCE_KINDS:
        if kind.matches(address):
            return kind
    scheme = scheme_of(address)
    if scheme in ("", "file"):
        raise _missing_path(address)
    installed = entry_points(group=ENTRY_POINTS)
    for entry in installed:
        if entry.name == scheme:
            return SourceKind(
                name=scheme,
                factory=entry.value,
                example=f"{scheme}:...",
                schemes=(scheme,),
                replayable=_says_replayable(scheme, entry.value),
            )
    known = [name for kind in SOURCE_KINDS for name in kind.schemes] + [entry.name for entry in installed]
    nearest = difflib.get_close_matches(scheme, known, n=2, cutoff=0.6)
    hint = f"did you mean {' or '.join(f'{name}:' for name in nearest)}?" if nearest else f"give {examples()}"
    raise SourceError(
        f"{shown(address, 200)}: no such file, and {shown(scheme)}: is no known kind of source; {hint}"
    )


@functools.cache
def _says_replayable(name: str, factory: str) -> bool:
    """Whether the factory of another package has the attribute `replayable`, and it is true."""
    try:
        return bool(getattr(EntryPoint(name, factory, ENTRY_POINTS).load(), "replayable", False))
    except Exception:  # opening the source says what is wrong
        return False


def _missing_path(address: str) -> SourceError:
    name = shown(address, 200)
    try:
        local_path(address).stat()
    except FileNotFoundError:
        return SourceError(f"{name}: no such file or folder; check the path, or give {examples()}")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        return SourceError(f"{name}: not a usable path ({reason}); give {examples()}")
    return SourceError(f"{name}: cannot be opened; give {examples()}")
