"""A camera that sends more frames than the model has time for is told as overloaded, since when, and when no more."""

from __future__ import annotations

from pipeline.stages.overload import Overload


def told(subject: Overload, seconds: range, share: float, fps: int = 25) -> list[str]:
    """Lines of some seconds in which this share of the frames is left out; wall time is that since 1000."""
    lines = []
    for second in seconds:
        subject.frames = getattr(subject, "frames", 0) + fps
        subject.left_out = getattr(subject, "left_out", 0) + round(share * fps)
        lines.append(subject.update(subject.frames, subject.left_out, float(second), 1000.0 + second))
    return [line for line in lines if line]


def test_a_camera_that_the_model_keeps_up_with_is_never_told() -> None:
    assert told(Overload(), range(600), 0.04) == []


def test_overload_is_told_once_with_both_rates_and_since_when() -> None:
    subject = Overload()
    assert told(subject, range(60), 0.0) == []
    (line,) = told(subject, range(60, 120), 0.8)
    assert line.startswith("overloaded: ") and "of 25.0 frames a second are counted" in line
    assert 1050 <= subject.since_s <= 1062
    (line,) = told(subject, range(120, 180), 0.0)
    assert line.startswith("not overloaded any more, after ")
    assert subject.since_s == 0


def test_a_moment_in_which_many_frames_are_left_out_is_no_overload() -> None:
    subject = Overload()
    told(subject, range(60), 0.0)
    subject.left_out += 20
    assert told(subject, range(60, 90), 0.0) == []


def test_a_camera_that_sends_nothing_is_not_overloaded() -> None:
    subject = Overload()
    assert [subject.update(100, 0, float(second), 0.0) for second in range(60)] == [""] * 60
