"""Tallycam: counts unique objects, and objects crossing lines, in live video.

The public Python API. What is behind a name is imported when it is first used, so `import pipeline` is fast.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from pipeline.api.counters import LineCounter as LineCounter
    from pipeline.api.counters import ZoneCounter as ZoneCounter
    from pipeline.api.interop import from_boxes as from_boxes
    from pipeline.api.interop import from_supervision as from_supervision
    from pipeline.api.interop import from_torchvision as from_torchvision
    from pipeline.api.interop import to_supervision as to_supervision
    from pipeline.api.stream import Frame as Frame
    from pipeline.api.stream import OpenStream as OpenStream
    from pipeline.api.stream import open as open  # noqa: A004  # `pipeline.open`, as `av.open`
    from pipeline.api.tracker import Tracker as Tracker
    from pipeline.api.tracks import Tracks as Tracks
    from pipeline.errors import TallycamError as TallycamError
    from pipeline.models.detections import Detections as Detections
    from pipeline.records.event import CountEvent as CountEvent

_PUBLIC = {
    "CountEvent": "pipeline.records.event:CountEvent",
    "Detections": "pipeline.models.detections:Detections",
    "Frame": "pipeline.api.stream:Frame",
    "LineCounter": "pipeline.api.counters:LineCounter",
    "OpenStream": "pipeline.api.stream:OpenStream",
    "TallycamError": "pipeline.errors:TallycamError",
    "Tracker": "pipeline.api.tracker:Tracker",
    "Tracks": "pipeline.api.tracks:Tracks",
    "ZoneCounter": "pipeline.api.counters:ZoneCounter",
    "from_boxes": "pipeline.api.interop:from_boxes",
    "from_supervision": "pipeline.api.interop:from_supervision",
    "from_torchvision": "pipeline.api.interop:from_torchvision",
    "open": "pipeline.api.stream:open",
    "to_supervision": "pipeline.api.interop:to_supervision",
}
"""Public name -> where it is."""


def __getattr__(name: str) -> Any:
    """Imports a public name at its first use."""
    if name not in _PUBLIC:
        raise AttributeError(f"module 'pipeline' has no attribute {name!r}")
    module, _, attribute = _PUBLIC[name].partition(":")
    value = globals()[name] = getattr(importlib.import_module(module), attribute)
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_PUBLIC])
