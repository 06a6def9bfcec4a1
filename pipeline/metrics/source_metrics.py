"""Metrics of the source of one stream, in the process that reads it."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge

from pipeline.metrics.families import STAGE

COUNTERS = {
    "frames": (
        "source_frames",
        "Frames that came out of the decoder; their rate is the measured frame rate.",
    ),
    "bytes": (
        "source_bytes",
        "Bytes of video that a live source has sent; eight times their rate is its bit rate.",
    ),
    "stalls": ("source_stalls", "Times that no frame came from a live source for a second or more."),
    "reconnects": ("reconnects", "Times that a live source came back."),
    "errors": ("decode_errors", "Damaged packets or frames in the source."),
    "retimed": ("frames_retimed", "Frames whose media time is interpolated: timestamps repeat."),
}
"""Key of `SourceMetrics.totals` -> name of the family, without prefix, and its help."""


class SourceFamilies:
    """The metric families of sources.

    Args:
        registry: Of the process.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.counters = {
            key: Counter(f"tallycam_{name}", text, STAGE, registry=registry)
            for key, (name, text) in COUNTERS.items()
        }

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(f"tallycam_{name}", text, ("stream", *labels), registry=registry)

        self.fps = gauge("source_fps", "Frame rate that the source states; 0 if it states none.")
        self.ratio = gauge(
            "source_clock_ratio",
            "Seconds of the clock for a second of the source's timestamps; other than 1, these are corrected.",
        )
        self.newest = gauge("source_newest_frame_seconds", "Unix time at which the newest frame came.")
        self.state = gauge("source_state", "1 for the state that the source is in.", "state")
        self.since = gauge("source_state_since_seconds", "Unix time since which the source is in its state.")
        self.overloaded = gauge(
            "overloaded_since_seconds",
            "Unix time since which the model does not keep up with the camera; 0 while it does.",
        )
        self.condition = gauge(
            "camera_condition", "1 while this is wrong with the picture of the camera.", "condition"
        )


class SourceMetrics:
    """The source of one stream.

    Args:
        families: Of the process.
        stage, stream: Values of the labels.
    """

    def __init__(self, families: SourceFamilies, stage: str, stream: str) -> None:
        self._families, self._stream = families, stream
        self._counters = {key: family.labels(stage, stream) for key, family in families.counters.items()}
        self._shown = dict.fromkeys(self._counters, 0)

    def totals(self, **totals: int) -> None:
        """Sets totals of this process.

        Args:
            **totals: Keys of `COUNTERS`.
        """
        for key, total in totals.items():
            self._counters[key].inc(total - self._shown[key])
            self._shown[key] = total

    def stream(self, fps: float, newest_s: float, clock_ratio: float = 1.0) -> None:
        """Sets what is known of the frames.

        Args:
            fps: Frame rate that the source states, Hz; 0 if unknown.
            newest_s: Unix time at which the newest frame came.
            clock_ratio: Seconds of the clock for a second of its timestamps.
        """
        self._families.ratio.labels(self._stream).set(clock_ratio)
        self._families.fps.labels(self._stream).set(fps)
        self._families.newest.labels(self._stream).set(newest_s)

    def state(self, state: str, since_s: float, states: Iterable[str]) -> None:
        """Sets the state of the source.

        Args:
            state: One of `states`.
            since_s: Unix time since which it is.
            states: All that there are.
        """
        for name in states:
            self._families.state.labels(self._stream, name).set(name == state)
        self._families.since.labels(self._stream).set(since_s)

    def overloaded(self, since_s: float) -> None:
        """Sets since when frames are left out because the model has no time for them.

        Args:
            since_s: Unix time; 0: they are not.
        """
        self._families.overloaded.labels(self._stream).set(since_s)

    def condition(self, condition: str, conditions: Iterable[str]) -> None:
        """Sets what is wrong with the picture of a camera.

        Args:
            condition: One of `conditions`; empty: nothing.
            conditions: All that there are.
        """
        for name in conditions:
            self._families.condition.labels(self._stream, name).set(name == condition)
