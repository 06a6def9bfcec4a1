"""A source, counted within this process: frame by frame what was found, tracked and counted.

The steps are those of a run (`stages/`) without its processes: the same inference, filters and counter. So the counts
are those of `tallycam run`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from pipeline.api.configuration import Configuration, config_of, single_stream
from pipeline.api.steps import StepRecorder
from pipeline.api.tracks import Tracks
from pipeline.config.schema import Config
from pipeline.counting.counter import StreamCounter
from pipeline.models import registry
from pipeline.models.detections import Detections
from pipeline.models.filters import with_lowest_score
from pipeline.records.event import CountEvent
from pipeline.runtime.preflight import check
from pipeline.stages.inference import Inference
from pipeline.stages.instances import instances_of
from pipeline.transport.messages import FrameRef, Instances
from pipeline.transport.planes import Planes
from pipeline.video.camera_motion import CameraMotion
from pipeline.video.overlay import Overlay
from pipeline.video.sources.recording_time import with_recording_times
from pipeline.video.sources.source import Source, SourceFrame, SourceInfo
from pipeline.video.sources.source_registry import open_source

Image = NDArray[np.uint8]


@dataclass(frozen=True)
class Frame:
    """One frame of a source with everything that is known of it.

    Attributes:
        index: number of the frame in the source, from 0; gaps where frames were skipped or dropped.
        pts_s: media time in seconds since the first frame of the source.
        wall_s: Unix time at which the frame was decoded.
        width: pixels, rotation applied.
        height: as `width`.
        detections: what the model found, after the filters.
        tracks: the confirmed objects that are seen in this frame.
        events: line crossings, zone entries and exits, and new objects that this frame brought. An event whose
            `change` is not `new` corrects an earlier one. The last frame of a file also has
            those that are decided by the end of the stream.
        totals: all counts up to and including this frame, with the keys of the stream in `summary.json`.
        skipped: empty; `static` where the model was spared the frame because nothing moved; `not_finite` where it
            answered with numbers that are none.
    """

    index: int
    pts_s: float
    wall_s: float
    width: int
    height: int
    detections: Detections
    tracks: Tracks
    events: tuple[CountEvent, ...]
    totals: Mapping[str, Any]
    skipped: str
    _planes: Planes = field(repr=False)
    _draw: Callable[[], Image] = field(repr=False)

    @cached_property
    def image(self) -> Image:
        """(height, width, 3) uint8 RGB, converted when it is first asked for."""
        return self._planes.to_rgb()

    @cached_property
    def annotated(self) -> Image:
        """The image with masks, labels, trails, lines, zones and counts, as in the video of a run.

        Trails lead over the frames whose `annotated` was asked for, in their order.
        """
        return self._draw()


class OpenStream:
    """An open source that is counted while it is iterated over, once.

    It is closed when the iteration ends, by `close`, and at the end of a `with` block.

    Args:
        config: the whole configuration.
        name: which of its streams.

    Attributes:
        name: of the stream, as in its events.
        classes: the model's class names; `class_ids` index them.
        device: where the model runs, in words.
        closing_events: of a live source that has ended (`stop_s`): events that its end decided.
    """

    def __init__(self, config: Config, name: str) -> None:
        config, _ = with_recording_times(config)
        self.name = name
        self._stream = config.streams[name]
        self._config = config.model_copy(update={"streams": {name: self._stream}})
        self.classes = check(self._config)
        registry.prepare(config.model)
        self._stop = threading.Event()
        self._source: Source = open_source(self._stream, stop=self._stop)
        try:
            self._model = registry.load(with_lowest_score(config.model, [self._stream]))
        except BaseException:
            self._source.close()
            raise
        self.device = self._model.device
        self.closing_events: tuple[CountEvent, ...] = ()
        self._inference = Inference(self._model, self._config)
        self._counter = StreamCounter(name, self._stream, config.tracker, self.classes, rows=False)
        self._recorder = self._counter.listen(StepRecorder)
        self._camera = CameraMotion() if self._stream.camera == "moving" else None
        info = self._source.info
        self._overlay = Overlay(self._stream, config.output.video, self.classes, info.width, info.height)
        self._frames = self._run()

    @property
    def info(self) -> SourceInfo:
        """Size, frame rate and length of the source, as far as they are known."""
        return self._source.info

    @property
    def totals(self) -> Mapping[str, Any]:
        """All counts so far, with the keys of the stream in `summary.json`."""
        return self._counter.summary()

    def close(self) -> None:
        """Ends the iteration soon, also one that waits for a camera in another thread."""
        self._stop.set()
        self._source.close()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Frame:
        if self._stop.is_set():
            raise StopIteration
        return next(self._frames)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self) -> Iterator[Frame]:
        """Reads, infers and counts to the end of the source."""
        try:
            self._model.warm_up()
            for refs, planes, last in self._batches():
                inferred = self._inference.run(refs, planes)
                for number, (ref, one, pixels) in enumerate(zip(refs, inferred, planes, strict=True)):
                    instances = instances_of(ref, one.detections, one.skipped, pixels)
                    ends = last and number == len(refs) - 1 and not self._stop.is_set()
                    yield self._count(instances, pixels, ends)
            if self.info.live:
                self.closing_events = tuple(self._counter.finish())
        finally:
            self._source.close()

    def _count(self, instances: Instances, planes: Planes, ends: bool) -> Frame:
        step = self._counter.update(instances)
        events = [*step.events, *(self._counter.finish() if ends else ())]

        def draw() -> Image:
            copy = Planes(planes.y.copy(), planes.u.copy(), planes.v.copy())
            self._overlay.draw(copy, step.tracks)
            return copy.to_rgb()

        return Frame(
            index=instances.index,
            pts_s=instances.pts_s,
            wall_s=instances.wall_s,
            width=instances.width,
            height=instances.height,
            detections=Detections(instances.boxes_px, instances.scores, instances.class_ids, instances.masks),
            tracks=Tracks.of_message(
                step.tracks, self.classes, (self.info.width, self.info.height), self._recorder.take()
            ),
            events=tuple(events),
            totals=self._counter.summary(),
            skipped=instances.skipped,
            _planes=planes,
            _draw=draw,
        )

    def _batches(self) -> Iterator[tuple[list[FrameRef], list[Planes], bool]]:
        """Frames for one run of the model each, and whether they are the last ones, which is said of no live source:
        its newest frame cannot wait for the next one."""
        live = self.info.live
        most = 1 if live or self.device.startswith("cpu") else self._config.model.batch
        refs: list[FrameRef] = []
        planes: list[Planes] = []
        for seq, frame in enumerate(self._source.frames()):
            if len(refs) == most:
                yield refs, planes, False
                refs, planes = [], []
            pixels = frame.pixels()
            refs.append(self._ref(seq, frame, pixels))
            planes.append(pixels)
            if live:
                yield refs, planes, False
                refs, planes = [], []
        if refs:
            yield refs, planes, True

    def _ref(self, seq: int, frame: SourceFrame, planes: Planes) -> FrameRef:
        camera = self._camera.update(planes.y, frame.epoch, frame.index) if self._camera else None
        return FrameRef(
            stream=self.name,
            epoch=frame.epoch,
            seq=seq,
            index=frame.index,
            pts_s=frame.pts_s,
            wall_s=frame.wall_s,
            camera=camera,
            slot=0,
            ring="",
            width=frame.width,
            height=frame.height,
        )


def open(  # noqa: A001  # `pipeline.open`, as `av.open`
    source: str | Path | None = None,
    config: Configuration = None,
    *,
    stream: str | None = None,
) -> OpenStream:
    """Opens a source and counts it frame by frame, in this process.

    ```python
    import pipeline

    for frame in pipeline.open("street.mp4", "gate.yaml"):
        for event in frame.events:
            print(f"{event.pts_s:.2f} s: {event.class_name} {event.track} crossed {event.name}, {event.direction}")
    ```

    The counts are those of `tallycam run` with the same configuration; no process is started, and nothing is written.

    Args:
        source: a file, a folder of images, `camera:0`, an address, or `synthetic:7`. It replaces the source of a
            configuration with one stream. None: the source is in the configuration.
        config: a YAML file, a mapping with the same keys, or a `Config`. In a mapping the key `source` may be missing.
            None: the model that ships, without lines and zones.
        stream: which stream of the configuration, where it has several.

    Returns:
        An iterator over `Frame`, which is also a context manager.

    Raises:
        TallycamError: the configuration is wrong, the source cannot be opened, or the model cannot be loaded. The
            text is one line for each mistake.
    """
    parsed = config_of(source, config)
    return OpenStream(parsed, single_stream(parsed, stream))
