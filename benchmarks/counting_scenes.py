"""Scenes for `benchmarks/counting.py`: who walks where, and what a detector would say of it. Nothing is rendered.

Objects enter over a border, walk along two or three points at their own changing speed, some stop, some turn back,
and leave over a border. Size follows from the place (perspective). A detector sees what is not hidden behind posts
or behind others nearer to the camera, with noise on its boxes, dropouts and false alarms. All is a pure function of
the scene's number.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

WIDTH, HEIGHT = 1280, 720
SECONDS = 20.0
LEVELS = 5
RATES = (30, 25, 20, 15, 10, 5)
"""Frames a second; scenes take turns, so that every level has all."""
FALSE_ALARMS = (0.0, 0.02, 0.05, 0.08, 0.12)
"""In a frame."""
DENSITY = (3, 6, 10, 15, 20)
"""Objects at a time, about."""
DROPOUTS = (0.0, 0.075, 0.15, 0.225, 0.3)
NOISE = (0.01, 0.02, 0.03, 0.04, 0.05)
"""Standard deviation of a box's edges, as a part of its size."""
POSTS = (0, 1, 2, 3, 4)
CLEAR_S = 0.5
"""An object counts if it could be seen for so long in all."""
VISIBLE = 0.35
"""Part of an object that a detector needs."""


@dataclass(frozen=True)
class Scene:
    """One scene.

    Attributes:
        truth: (N, 7) frame from 1, id, left, top, width, height, 1: objects within the frame, also hidden ones.
        found: of each frame, (n, 5) x0 y0 x1 y1 score.
        unique: objects that could be seen for long enough.
    """

    number: int
    level: int
    fps: int
    truth: np.ndarray
    found: list[np.ndarray]
    unique: int


def scene(number: int) -> Scene:
    """Levels of difficulty take turns, and so do frame rates."""
    rng = np.random.default_rng(1000 + number)
    level, fps = number % LEVELS, RATES[(number // LEVELS) % len(RATES)]
    times = np.arange(round(SECONDS * fps)) / fps
    boxes = _objects(rng, DENSITY[level], times)  # (objects, frames, 4), NaN where it is not there
    inside = _clipped(boxes)
    visible = _visible(rng, boxes, inside, POSTS[level])
    there = _area(inside) > 0.2 * np.maximum(_area(boxes), 1e-9)
    seen = there & (visible >= VISIBLE)
    truth = [
        np.column_stack([np.flatnonzero(own) + 1, np.full(own.sum(), row + 1), _rows(boxes[row, own])])
        for row, own in enumerate(there)
        if own.any()
    ]
    unique = int((seen.sum(axis=1) >= CLEAR_S * fps).sum())
    found = _found(rng, level, boxes, inside, visible, seen)
    return Scene(number, level, fps, np.concatenate(truth), found, unique)


def _objects(rng: np.random.Generator, density: int, times: np.ndarray) -> np.ndarray:
    """Walks of as many objects as keep about `density` of them in the picture."""
    walks = []
    alive_s = 0.0
    while alive_s < density * SECONDS:
        walk = _walk(rng, times)
        alive_s += float(np.isfinite(walk[:, 0]).mean() * SECONDS)
        walks.append(walk)
    return np.stack(walks)


def _walk(rng: np.random.Generator, times: np.ndarray) -> np.ndarray:
    """(frames, 4) boxes of one object, NaN before and after its walk."""
    points = [_border(rng), *rng.uniform((0.1, 0.3), (0.9, 0.95), (rng.integers(1, 3), 2)), _border(rng)]
    if rng.random() < 0.12:
        points[-1] = points[0]  # turns back
    way = np.array(points) * (WIDTH, HEIGHT)
    lengths = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(way, axis=0).T))])
    height = 55 + 150 * way[:, 1].mean() / HEIGHT
    speed = height * rng.uniform(0.5, 1.5)
    took_s = lengths[-1] / speed
    start_s = rng.uniform(-took_s, SECONDS)
    steps = np.arange(0.0, took_s + 1e-9, 0.05)
    pace = 1 + 0.3 * np.sin(rng.uniform(0, 7) + steps * rng.uniform(0.3, 1.2))
    if rng.random() < 0.25:  # stands for a while
        at, long = rng.uniform(0.2, 0.8) * took_s, rng.uniform(1.0, 4.0)
        pace[(steps >= at) & (steps < at + long)] = 0.0
    gone = np.concatenate([[0.0], np.cumsum(pace[:-1]) * 0.05 * speed])
    gone *= lengths[-1] / max(gone[-1], 1e-9)
    along = np.interp(times - start_s, steps, gone, left=np.nan, right=np.nan)
    x, y = (np.interp(along, lengths, way[:, axis]) for axis in (0, 1))
    tall = (55 + 150 * y / HEIGHT) * rng.uniform(0.9, 1.1)
    wide = tall * rng.uniform(0.34, 0.46) * (1 + 0.08 * np.sin(times * rng.uniform(5, 8)))
    boxes = np.stack([x - wide / 2, y - tall, x + wide / 2, y], axis=1)
    return np.where(np.isnan(along)[:, None], np.nan, boxes)


def _border(rng: np.random.Generator) -> np.ndarray:
    """A place just outside of the left, right or lower border, in parts of the frame."""
    side, at = rng.integers(0, 3), rng.random()
    if side == 2:
        return np.array([0.05 + 0.9 * at, 1.35])
    return np.array([-0.06 if side == 0 else 1.06, 0.3 + 0.65 * at])


def _visible(rng: np.random.Generator, boxes: np.ndarray, inside: np.ndarray, posts: int) -> np.ndarray:
    """(objects, frames): part of each that neither a post nor somebody nearer hides."""
    area = np.maximum(_area(inside), 1e-9)
    hidden = np.zeros(area.shape)
    for left, foot in zip(
        rng.uniform(0.15, 0.85, posts) * WIDTH, rng.uniform(0.6, 1.0, posts) * HEIGHT, strict=True
    ):
        right = left + rng.uniform(0.02, 0.06) * WIDTH
        covered = np.minimum(inside[..., 2], right) - np.maximum(inside[..., 0], left)
        share = np.clip(covered, 0, None) / np.maximum(inside[..., 2] - inside[..., 0], 1e-9)
        hidden = np.maximum(hidden, np.where(boxes[..., 3] < foot, share, 0.0))
    for frame in range(boxes.shape[1]):
        rows = np.flatnonzero(area[:, frame] > 1)
        one = inside[rows, frame]
        low = np.maximum(one[:, None, :2], one[None, :, :2])
        high = np.minimum(one[:, None, 2:], one[None, :, 2:])
        common = np.clip(high - low, 0, None).prod(axis=2)
        nearer = boxes[rows, frame, 3][None, :] > boxes[rows, frame, 3][:, None]
        share = (common * nearer).max(axis=1, initial=0.0) / area[rows, frame]
        hidden[rows, frame] = np.maximum(hidden[rows, frame], share)
    return 1 - np.nan_to_num(hidden)


def _found(
    rng: np.random.Generator,
    level: int,
    boxes: np.ndarray,
    inside: np.ndarray,
    visible: np.ndarray,
    seen: np.ndarray,
) -> list[np.ndarray]:
    """What the detector says of each frame."""
    kept = seen & (rng.random(seen.shape) >= DROPOUTS[level])
    size = np.concatenate([boxes[..., 2:] - boxes[..., :2]] * 2, axis=-1)
    shaken = boxes + rng.normal(0, NOISE[level], boxes.shape) * size * (2 - visible[..., None])
    shaken = _clipped(shaken)
    scores = np.clip(rng.normal(0.9, 0.05, seen.shape) - 0.5 * (1 - visible), 0.3, 0.99)
    frames = []
    for frame in range(boxes.shape[1]):
        rows = np.flatnonzero(kept[:, frame])
        real = np.column_stack([shaken[rows, frame], scores[rows, frame]])
        alarms = np.zeros((int(rng.random() < FALSE_ALARMS[level]), 5))
        for one in alarms:
            tall = rng.uniform(60, 180)
            x, y = rng.uniform(0, WIDTH - tall), rng.uniform(0.3, 1.0) * HEIGHT
            one[:] = x, max(0.0, y - tall), x + 0.4 * tall, y, rng.uniform(0.3, 0.7)
        frames.append(np.concatenate([real, alarms]).astype(np.float32))
    return frames


def _clipped(boxes: np.ndarray) -> np.ndarray:
    return np.clip(boxes, 0, (WIDTH, HEIGHT, WIDTH, HEIGHT))


def _area(boxes: np.ndarray) -> np.ndarray:
    return np.nan_to_num((boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1]))


def _rows(boxes: np.ndarray) -> np.ndarray:
    """(N, 4) x0 y0 x1 y1 -> (N, 5) left, top, width, height, 1."""
    return np.column_stack([boxes[:, :2], boxes[:, 2:] - boxes[:, :2], np.ones(len(boxes))])
