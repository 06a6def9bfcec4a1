"""Confirmation: whether a track is an object at all, or a false alarm, or a second box on another object."""

from __future__ import annotations

from pipeline.tracking.identities import Track

MIN_OBSERVATIONS = 3
MIN_SCORE_SUM = 3.2
"""Sum of the scores of all observations of a confirmed track."""
MIN_SCORE_SUM_S = 0.45
"""What so many seconds of sure observations would give is enough where it is less: at low frame rates."""
MIN_MEAN_SCORE = 0.45
"""Mean score of the observations of a confirmed track."""
MIN_SEEN_SHARE = 0.5
"""Share of the frames since it began in which a track must have been seen to be confirmed."""
MIN_SCORE_PER_FRAME = 0.35
"""Or the sum of its scores for each of these frames: who is seen surely, but half of the time, is half hidden."""
MAX_SHADOWED_SHARE = 0.28
"""Share of its observations from which on a track that lies on another one is its shadow."""
NEARLY_SHARE = 0.5
"""Part of the score and of the time that confirm a track, from which on it is doubtful that it was not."""
NEARLY_MEAN_SHARE = 0.9
"""The same of the mean score."""


def is_confirmed(track: Track, frames: int, confirm_s: float) -> bool:
    """Whether a track is an object.

    Args:
        frames: number of the newest frame.
        confirm_s: how long it must have been seen, seconds.
    """
    return not (
        track.seen < MIN_OBSERVATIONS
        or track.lasted_s < confirm_s - 1e-6
        or track.score < max(min_score_sum(track, frames), MIN_MEAN_SCORE * track.seen)
        or _is_flicker(track, frames)
        or is_shadow(track)
    )


def _is_flicker(track: Track, frames: int) -> bool:
    """Whether detections come and go as false alarms do."""
    count = frames - track.since + 1
    return track.seen < MIN_SEEN_SHARE * count and track.score < MIN_SCORE_PER_FRAME * count


def is_nearly_confirmed(track: Track, frames: int, confirm_s: float) -> bool:
    """Whether a track that was never confirmed came close to it.

    Args:
        track: A track that has ended.
        frames: Frames of the stream so far.
        confirm_s: `tracker.confirm_s`, seconds.
    """
    if track.object_id is not None or track.seen < MIN_OBSERVATIONS or is_shadow(track):
        return False
    score = NEARLY_SHARE * min_score_sum(track, frames)
    mean = NEARLY_MEAN_SHARE * MIN_MEAN_SCORE
    return track.lasted_s >= NEARLY_SHARE * confirm_s and track.score >= max(score, mean * track.seen)


def is_shadow(track: Track) -> bool:
    """Whether a track is a second box on the object of another track.

    Args:
        track: The track.
    """
    return track.shadowed > MAX_SHADOWED_SHARE * track.seen


def min_score_sum(track: Track, frames: int) -> float:
    """Least sum of scores of a confirmed track: `MIN_SCORE_SUM`, or less at a low frame rate, `MIN_SCORE_SUM_S` a
    second.

    Args:
        track: The track.
        frames: Frames of the stream so far.
    """
    count = frames - track.since
    if track.lasted_s <= 0 or not count:
        return MIN_SCORE_SUM
    return min(MIN_SCORE_SUM, MIN_SCORE_SUM_S * count / track.lasted_s)
