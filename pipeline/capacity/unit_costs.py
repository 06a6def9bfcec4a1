"""What one frame and one stream cost on this machine, measured in about half a minute."""

from __future__ import annotations

import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.capacity.sample import FPS, FRAMES, make_clip, make_log
from pipeline.capacity.stream_costs import StreamCosts, measure, paced
from pipeline.config.schema import StreamConfig
from pipeline.transport.planes import Planes, planes_bytes
from pipeline.video.sources.source_registry import open_source

STREAMS = 3
"""Streams of the measured runs."""
SLOW_FPS, FAST_FPS = 2.0, 15.0
"""Frames a second of each stream that are counted in them."""
SECONDS = 6.0


@dataclass(frozen=True, slots=True)
class UnitCosts:
    """Costs in milliseconds of one core (ms), and megabytes (mb).

    Attributes:
        decode_ms: Decoding one frame and copying it into shared memory.
        count_ms: Taking one frame through the stages to its counts, without the model.
        video_ms: Drawing and encoding one frame of the annotated video; 0 without video.
        idle: Cores that a stream keeps busy whatever its frames cost.
        base_mb: Memory that is there once.
        stream_mb: Memory of a stream, with its frames.
        log_bytes: Of the instances log, for one counted frame.
        video_bytes: Of the annotated video, for one frame; 0 without video.
        stream_bytes: Of the compressed video that a camera sends, for one frame.
    """

    decode_ms: float
    count_ms: float
    video_ms: float
    idle: float
    base_mb: float
    stream_mb: float
    log_bytes: float
    video_bytes: float
    stream_bytes: float


def measure_units(size: tuple[int, int], objects: int, *, video: bool) -> UnitCosts:
    """Measures the costs at one size of frames.

    Args:
        size: Width and height, pixels.
        objects: Objects in each frame.
        video: Whether the annotated video is written.

    Raises:
        TallycamError: A run did not start, or ended early.
    """
    with tempfile.TemporaryDirectory(prefix="tallycam-plan-") as name:
        folder = Path(name)
        clip, log = folder / "clip.mp4", folder / "people.log"
        make_clip(clip, size)
        make_log(log, size, objects)

        def costs(fps: float, *, video: bool) -> StreamCosts:
            config = paced(clip, log, STREAMS, fps, video=video)
            return measure(config, folder / f"out-{fps:g}-{video}", SECONDS)

        decode_ms = decode_cost_ms(clip)
        slow, fast = costs(SLOW_FPS, video=False), costs(FAST_FPS, video=False)
        count_ms = 1e3 * (fast.cores - slow.cores) / (fast.fps - slow.fps)
        idle = (slow.cores - 1e-3 * (count_ms * slow.fps + decode_ms * FPS * STREAMS)) / STREAMS
        of_streams, video_ms, video_bytes = ["decode"], 0.0, 0.0
        if video:
            drawn = costs(FAST_FPS, video=True)
            video_ms = 1e3 * (drawn.cores - fast.cores) / drawn.fps
            files = (folder / f"out-{FAST_FPS:g}-True").rglob("*.mp4*")
            video_bytes = sum(path.stat().st_size for path in files) / max(1, drawn.frames)
            fast, of_streams = drawn, ["decode", "sink"]
        streams_mb = sum(fast.memory_mb[stage] for stage in of_streams)
        return UnitCosts(
            decode_ms=decode_ms,
            count_ms=max(0.0, count_ms),
            video_ms=max(0.0, video_ms),
            idle=idle,
            base_mb=fast.total_mb - streams_mb,
            stream_mb=streams_mb / STREAMS,
            log_bytes=fast.log_bytes,
            video_bytes=video_bytes,
            stream_bytes=clip.stat().st_size / FRAMES,
        )


def decode_cost_ms(clip: Path) -> float:
    """Milliseconds of a core for decoding one frame and copying it, by one thread.

    Args:
        clip: A video file.
    """
    source = open_source(StreamConfig(source=str(clip)), stop=threading.Event(), decoder_threads=1)
    planes: Planes | None = None
    frames, began_s = 0, time.process_time()
    for frame in source.frames():
        if planes is None:
            buffer = np.empty(planes_bytes(frame.width, frame.height), np.uint8)
            planes = Planes.view(buffer, frame.width, frame.height)
        frame.copy_to(planes)
        frames += 1
    source.close()
    return 1e3 * (time.process_time() - began_s) / max(1, frames)
