"""A rendered street as an endless source: `synthetic:SEED?width=640&height=360&fps=25&traffic=1.0`."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import parse_qsl

from pipeline.config.schema import StreamConfig
from pipeline.errors import SourceError
from pipeline.transport.planes import Planes
from pipeline.video.convert import copy_planes
from pipeline.video.sources.source import BaseSource, FrameSampler, SourceFrame, SourceInfo, wait_until


@dataclass(frozen=True, slots=True)
class SceneOptions:
    """What stands behind `synthetic:`."""

    seed: int
    width: int = 640
    height: int = 360
    fps: float = 25.0
    traffic: float = 1.0


_LIMITS = {"width": (64, 7680), "height": (64, 4320), "fps": (1, 240), "traffic": (0, 100)}


def parse_scene(target: str, size: tuple[int, int] | None = None) -> SceneOptions:
    """`SEED?width=..&height=..&fps=..&traffic=..`; `size` is the default of width and height.

    Raises:
        SourceError: naming the wrong part and what was expected.
    """
    where = f"synthetic:{target}"
    seed, _, query = target.partition("?")
    if not (seed.isascii() and seed.isdigit()):
        raise SourceError(f"{where}: the seed must be a whole number from 0, got {seed!r}; e.g. synthetic:7")
    width, height = size or (640, 360)
    values: dict[str, float] = {"width": width, "height": height, "fps": 25.0, "traffic": 1.0}
    for name, text in parse_qsl(query, keep_blank_values=True):
        if name not in values:
            raise SourceError(f"{where}: {name!r} is not known; expected {', '.join(values)}")
        low, high = _LIMITS[name]
        try:
            values[name] = float(text)
        except ValueError:
            values[name] = float("nan")
        if not low <= values[name] <= high or (name in ("width", "height") and values[name] % 1):
            raise SourceError(f"{where}: {name} must be a number from {low} to {high}, got {text!r}")
    return SceneOptions(
        int(seed), int(values["width"]), int(values["height"]), values["fps"], values["traffic"]
    )


class SyntheticSource(BaseSource):
    """An endless scene; frame `index` depends on the seed and the index alone.

    Raises:
        SourceError: the address is wrong.
    """

    def __init__(
        self, target: str, config: StreamConfig, *, stop: threading.Event, first_index: int = 0
    ) -> None:
        from pipeline.demo.scene.world import Scene

        self._options = parse_scene(target, config.size)
        super().__init__(config, stop)
        self._first_index = first_index
        scene = self._options
        self._scene = Scene.from_seed(
            scene.seed,
            width=scene.width,
            height=scene.height,
            fps=scene.fps,
            traffic=scene.traffic,
            endless=True,
        )
        self._shift = int(config.start_s * scene.fps + 0.5)
        duration_s = None if config.stop_s is None else config.stop_s - self._shift / scene.fps
        self._info = SourceInfo(
            kind="synthetic",
            live=config.realtime,
            width=scene.width,
            height=scene.height,
            fps=scene.fps,
            duration_s=duration_s,
            frames=None if duration_s is None else max(1, round(duration_s * scene.fps)),
        )

    def frames(self) -> Iterator[SourceFrame]:
        fps, stop_s = self._options.fps, self._config.stop_s
        sampler = FrameSampler(self._config.fps, self._config.skip, fps)
        # The picker looks at the frame before: let it see those in front of the first one.
        before = max(0, self._first_index - self._config.skip - 1)
        started_s = time.monotonic() - self._first_index / fps
        index = before
        while not self._ended():
            pts_s = (index + self._shift) / fps
            if stop_s is not None and pts_s >= stop_s - 1e-6:
                return
            reason = sampler.reason_to_skip(index, pts_s)
            if index >= self._first_index:
                if self._config.realtime:
                    wait_until(started_s + index / fps, self._ended)
                self._stats.decoded += 1
                if reason:
                    self._stats.skip(reason)
                else:
                    yield self._frame(index, pts_s)
            index += 1

    def _frame(self, index: int, pts_s: float) -> SourceFrame:
        def copy_to(planes: Planes) -> None:
            copy_planes(Planes.from_rgb(self._scene.frame(index + self._shift).image), planes)

        return SourceFrame(index, pts_s, time.time(), 0, self._info.width, self._info.height, copy_to)
