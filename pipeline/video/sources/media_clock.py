"""Media time: a strictly increasing timeline made of a container's timestamps, whatever their quality."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class _Run:
    """Frames with one timestamp: seconds per frame up to the next timestamp, and their number; 0 for no run yet."""

    interval_s: float
    count: int = 0


class MediaClock:
    """Turns raw timestamps into media time.

    Where timestamps increase, media time follows them exactly. The rest is repaired:

    - Frames with equal timestamps, as in recordings with a resolution of whole seconds, form a *run*. They are spread
      evenly: at the nominal interval in the first run, then at the interval of the two runs before. Each run starts
      at its own timestamp again, so the spread never drifts.
    - A timestamp that falls back by up to `JUMP_S` belongs to the run before it.
    - A missing timestamp continues at the nominal interval.
    - A fall by more than `JUMP_S` is a discontinuity: media time continues, and the epoch increases. So is a run whose
      timestamp is more than `JUMP_S` behind what was made up for the frames before it.

    Args:
        fps: nominal frame rate in Hz.
        zero_s: container time that corresponds to media time 0; None takes the first frame's.
    """

    JUMP_S = 1.0
    MIN_STEP_S = 1e-3
    GAP = 1.25
    """Ratio of the intervals of two runs from which on the longer one contains a gap."""

    def __init__(self, fps: float, *, zero_s: float | None = None) -> None:
        self._nominal_s = 1.0 / fps
        self._runs: tuple[_Run, _Run] = (_Run(self._nominal_s), _Run(self._nominal_s))
        self._offset_s = None if zero_s is None else -zero_s
        self._gap_s: float | None = None
        self._run_raw_s: float | None = None
        self._run_start_s = 0.0
        self._run_count = 0
        self.pts_s: float | None = None
        """Media time of the latest frame; None before the first."""
        self.epoch = 0
        self.exact = True
        """Whether the latest media time is the frame's own timestamp, relative to that of media time 0."""
        self.repaired = 0
        """Number of frames so far whose own timestamp could not be used."""

    def restart(self, gap_s: float, *, new_epoch: bool = True) -> None:
        """Makes the next frame follow the latest one by `gap_s`, whatever its timestamp is.

        Args:
            gap_s: seconds between the two frames.
            new_epoch: whether this is a discontinuity of the source.
        """
        self.epoch += new_epoch
        self._gap_s = gap_s

    def next(self, raw_s: float | None) -> float:
        """Advances to the next frame.

        Args:
            raw_s: its timestamp in the container, in seconds; None if it has none.

        Returns:
            Its media time in seconds, more than that of the frame before.
        """
        if self.pts_s is None:
            pts_s = 0.0 if raw_s is None or self._offset_s is None else max(0.0, raw_s + self._offset_s)
            self._start_run(raw_s, pts_s)
        elif self._gap_s is not None:
            pts_s, self._gap_s = self.pts_s + self._gap_s, None
            self._rebase(raw_s, pts_s)
        elif raw_s is None:
            self.exact = False
            pts_s = self.pts_s + self._nominal_s
        elif self._offset_s is None:
            pts_s = self.pts_s + self._nominal_s
            self._rebase(raw_s, pts_s)
        else:
            pts_s = self._follow(raw_s, self._offset_s)
        if self.pts_s is not None and pts_s < self.pts_s + self.MIN_STEP_S:
            pts_s, self.exact = self.pts_s + self.MIN_STEP_S, False
        self.repaired += raw_s is not None and not self.exact
        self.pts_s = pts_s
        return pts_s

    def _follow(self, raw_s: float, offset_s: float) -> float:
        """Media time of a frame with a timestamp, in the middle of a timeline."""
        assert self.pts_s is not None
        latest_s = self._run_raw_s
        if latest_s is None or raw_s < latest_s - self.JUMP_S:
            self.epoch += 1
            pts_s = self.pts_s + self._nominal_s
            self._rebase(raw_s, pts_s)
            return pts_s
        if raw_s <= latest_s:
            self.exact = False
            self._run_count += 1
            return self._run_start_s + self._spread(self._run_count - 1)
        self._end_run(raw_s - latest_s)
        if raw_s + offset_s < self.pts_s - self.JUMP_S:
            self.epoch += 1
            self._offset_s = offset_s = self.pts_s + self._nominal_s - raw_s
        self._start_run(raw_s, raw_s + offset_s)
        return raw_s + offset_s

    def _spread(self, number: int) -> float:
        """Seconds from the start of a run to its frame `number`.

        One frame more than in the runs before is put half an interval behind the last regular one: runs differ by one
        where the interval does not divide the resolution. With yet more frames, the timestamps have become coarser.
        """
        first, second = self._runs
        count = max(first.count, second.count)
        if count == 0:
            return number * self._nominal_s
        interval_s = min(first.interval_s, second.interval_s)
        mean_s = (first.interval_s * first.count + second.interval_s * second.count) / (
            first.count + second.count
        )
        if mean_s < self.GAP * interval_s:  # otherwise there was a gap after one of the runs
            interval_s = mean_s
        extra = number - count + 1
        if extra <= 0:
            return number * interval_s
        beyond_s = min(interval_s, self._nominal_s)
        return (count - 1) * interval_s + beyond_s * (0.5 if extra == 1 else extra - 1)

    def _end_run(self, span_s: float) -> None:
        """The timestamp after the current run is `span_s` later."""
        self._runs = self._runs[1], _Run(span_s / self._run_count, self._run_count)

    def _start_run(self, raw_s: float | None, pts_s: float) -> None:
        """A frame at `pts_s` begins a run, on the timeline that holds."""
        if raw_s is not None and self._offset_s is None:
            self._offset_s = pts_s - raw_s
        self._run_raw_s, self._run_start_s, self._run_count = raw_s, pts_s, 1
        self.exact = raw_s is not None

    def _rebase(self, raw_s: float | None, pts_s: float) -> None:
        """A frame at `pts_s` begins a new timeline."""
        self._offset_s = None
        self._runs = _Run(self._nominal_s), _Run(self._nominal_s)
        self._start_run(raw_s, pts_s)
        self.exact = False
