"""A rendered street as an endless source: `synthetic:SEED?width=640&height=360&fps=25&traffic=1.0`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import parse_qsl

from pipeline.demo.scene.world import Scene
from pipeline.errors import SourceError
from pipeline.transport.planes import Planes
from pipeline.video.convert import copy_planes
from pipeline.video.sources.frame_sampler import FrameSampler
from pipeline.video.sources.source import BaseSource, SourceFrame, SourceInfo, SourceRequest


@dataclass(frozen=True, slots=True)
class SceneOptions:
    """Parameters of a rendered street.

    Attributes:
        seed: determines the street and everything that happens in it.
        width, height: pixels.
        fps: frame rate in Hz.
        traffic: density of people and vehicles; 1 is normal.
    """

    seed: int
    width: int = 640
    height: int = 360
    fps: float = 25.0
    traffic: float = 1.0


_LIMITS = {"width": (64, 7680), "height": (64, 4320), "fps": (1, 240), "traffic": (0, 100)}


def parse_scene(target: str, size: tuple[int, int] | None = None) -> SceneOptions:
    """Parses `SEED?width=..&height=..&fps=..&traffic=..`.

    Args:
        target: the address without `synthetic:`.
        size: default width and height in pixels.

    Raises:
        SourceError: names the malformed part and what was expected.
    """
    where = f"synthetic:{target}"
    seed, _, query = target.partition("?")
    if not (seed.isascii() and seed.isdigit()):
        raise SourceError(f"{where}: the seed must be a whole number from 0, got {seed!r}; e.g. synthetic:7")
    width, height = size or (640, 360)
    values: dict[str, float] = {"width": width, "height": height, "fps": 25.0, "traffic": 1.0}
    for name, text in parse_qsl(query, keep_blank_values=True):
        if name not in values:
            raise SourceError(f"{where}: unknown parameter {name!r}; expected {', '.join(values)}")
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


class SceneSource(BaseSource):
    """Plays an endless scene. Frame `index` depends only on the parameters and on `index`.

    Args:
        request: `target` as `parse_scene` takes it; `config.size` is the default size.

    Raises:
        SourceError: the address is malformed.
    """

    def __init__(self, request: SourceRequest) -> None:
        super().__init__(request)
        config = request.config
        self._options = options = parse_scene(request.target, config.size)
        self._scene = Scene.from_seed(
            options.seed,
            width=options.width,
            height=options.height,
            fps=options.fps,
            traffic=options.traffic,
            endless=True,
        )
        self._start_index = int(config.start_s * options.fps + 0.5)
        duration_s = None if config.stop_s is None else config.stop_s - self._start_index / options.fps
        self.info = SourceInfo(
            kind=request.kind,
            live=config.realtime,
            width=options.width,
            height=options.height,
            fps=options.fps,
            duration_s=duration_s,
            frames=None if duration_s is None else max(1, round(duration_s * options.fps)),
        )

    def frames(self) -> Iterator[SourceFrame]:
        """Yields rendered frames; see `Source.frames`."""
        fps, stop_s, first_index = self._options.fps, self.config.stop_s, self.request.first_index
        sampler = FrameSampler(self.config.fps, self.config.skip, fps)
        started_s = time.monotonic() - first_index / fps
        # The sampler's decision depends on the frame before: show it those in front of the first one.
        index = max(0, first_index - self.config.skip - 1)
        while not self.ended:
            pts_s = (index + self._start_index) / fps
            if stop_s is not None and pts_s >= stop_s - 1e-6:
                return
            reason = sampler.reason_to_skip(index, pts_s)
            if index >= first_index:
                if self.config.realtime:
                    self.wait_until(started_s + index / fps)
                self.stats.decoded += 1
                if reason:
                    self.stats.count_skipped(reason)
                else:
                    yield self._frame(index, pts_s)
            index += 1

    def _frame(self, index: int, pts_s: float) -> SourceFrame:
        def copy_to(planes: Planes) -> None:
            copy_planes(Planes.from_rgb(self._scene.frame(index + self._start_index).image), planes)

        return SourceFrame(index, pts_s, time.time(), 0, self.info.width, self.info.height, copy_to)
