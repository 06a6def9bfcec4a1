"""How soon is an ill camera found, and how often is a good one taken for ill?

    python -m benchmarks.camera_health CLIP... [--hours H] [--seed N]

From each clip of a fixed camera: every fault is made after 20 s of good pictures and lasts 20 s; and the clip is
looped for hours of changing light: a slow drift, and every two minutes lamps that are switched, another exposure or
gamma, light from one side, a cast shadow with a hard edge, or noise. A change of light that leaves nothing to be seen
is not made. The pictures of another clip stand for a camera that looks elsewhere.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import cycle, islice
from pathlib import Path

import av
import cv2
import numpy as np

from benchmarks.measure import save, table
from pipeline.transport.planes import Plane
from pipeline.video.health.camera_health import CHECK_S, CameraHealth

GOOD, ILL = 40, 40
"""Number of pictures, two a second."""
WIDTH = 320
CHANGE_S = 120.0


def pictures_of(path: Path) -> list[Plane]:
    """Luma of a clip, two pictures a second."""
    with av.open(str(path)) as container:
        step = max(1, round(float(container.streams.video[0].average_rate or 25) * CHECK_S))
        frames = enumerate(container.decode(video=0))
        return [
            frame.to_ndarray(format="gray").astype(np.uint8, copy=False)
            for number, frame in frames
            if number % step == 0
        ]


def byte(values: np.ndarray) -> Plane:
    return np.clip(values, 0, 255).astype(np.uint8)


def warped(matrix: Callable[[int, int], np.ndarray]) -> Callable[[Plane], Plane]:
    def warp(picture: Plane) -> Plane:
        height, width = picture.shape
        return byte(
            cv2.warpAffine(picture, matrix(width, height), (width, height), borderMode=cv2.BORDER_REFLECT)
        )

    return warp


def shift(x: float, y: float) -> Callable[[Plane], Plane]:
    return warped(lambda width, height: np.array([[1, 0, x * width], [0, 1, y * height]], np.float32))


def turn(degrees: float, zoom: float) -> Callable[[Plane], Plane]:
    return warped(lambda w, h: cv2.getRotationMatrix2D((w / 2, h / 2), degrees, zoom))


def faults(random: np.random.Generator, other: Plane) -> dict[str, tuple[str, Callable[[Plane], Plane]]]:
    """What is done -> what should be told, and how it is done to a picture."""

    def noisy(values: np.ndarray, noise: float) -> Plane:
        return byte(values + noise * random.standard_normal(values.shape))

    def elsewhere(picture: Plane) -> Plane:
        return noisy(cv2.resize(other, picture.shape[::-1]), 1.0)

    def blur(share: float) -> Callable[[Plane], Plane]:
        return lambda picture: byte(cv2.GaussianBlur(picture, (0, 0), share * picture.shape[1]))

    return {
        "no light": ("black", lambda picture: noisy(np.full(picture.shape, 16.0), 2.0)),
        "a hand on the lens": (
            "covered",
            lambda picture: noisy(cv2.GaussianBlur(picture, (0, 0), picture.shape[1] / 6) * 0.5, 2.0),
        ),
        "a cloth": ("covered", lambda picture: noisy(np.full(picture.shape, 70.0), 3.0)),
        "out of focus, a little": ("blurred", blur(0.005)),
        "out of focus": ("blurred", blur(0.01)),
        "pushed by 3 %": ("moved", shift(0.03, 0.0)),
        "pushed by 10 %": ("moved", shift(0.10, 0.05)),
        "turned by 5 degrees": ("moved", turn(5, 1.0)),
        "zoomed to 130 %": ("moved", turn(0, 1.3)),
        "looks elsewhere": ("moved", elsewhere),
    }


def changes(health: CameraHealth, pictures: Iterable[Plane], start_s: float) -> list[tuple[float, str]]:
    """When the condition changed, in seconds from the first picture on, and to what."""
    found, last = [], health.condition.name
    for number, picture in enumerate(pictures):
        name = health.update(picture, start_s + number * CHECK_S).name
        if name != last:
            found.append((number * CHECK_S, name))
            last = name
    return found


def found_after(clip: list[Plane], name: str, fault: Callable[[Plane], Plane] | None) -> tuple[float, str]:
    """Seconds until a fault was told, and until its end was; the first is infinite if it never was."""
    health, pictures = CameraHealth(), cycle(clip)
    changes(health, islice(pictures, GOOD), 0.0)
    if fault is None:
        one = next(pictures)
        ill: Iterable[Plane] = [one] * ILL
    else:
        ill = (fault(picture) for picture in islice(pictures, ILL))
    began = [seconds for seconds, found in changes(health, ill, GOOD * CHECK_S) if found == name]
    over = changes(health, islice(pictures, 20), (GOOD + ILL) * CHECK_S)
    return began[0] if began else float("inf"), f"{over[0][0]:g}" if over else "-"


def in_light(clip: list[Plane], hours: float, random: np.random.Generator) -> Iterator[Plane]:
    """The clip over and over, in light that changes."""
    height, width = clip[0].shape
    x, y = np.linspace(-1, 1, width)[None], np.linspace(-1, 1, height)[:, None]
    gain, gamma, side, noise, shadow = 1.0, 1.0, (0.0, 0.0), 1.0, (0.0, 0.0, 0.0)
    for number in range(round(hours * 3600 / CHECK_S)):
        if number and number % round(CHANGE_S / CHECK_S) == 0:
            kind = random.integers(6)
            if kind == 0:
                gain, gamma = float(random.uniform(0.25, 1.6)), 1.0
            elif kind == 1:
                gamma = float(random.uniform(0.5, 2.0)) if gain > 0.6 else 1.0
            elif kind == 2:
                side = (float(random.uniform(-0.7, 0.7)), float(random.uniform(-0.7, 0.7)))
            elif kind == 3:
                noise = float(random.uniform(0.3, 3.0))
            elif kind == 4:
                x, y = random.uniform(-1, 1, 2)
                shadow = (float(x), float(y), float(random.uniform(0.25, 0.7)))
            else:
                gain, gamma, side, shadow = 1.0, 1.0, (0.0, 0.0), (0.0, 0.0, 0.0)
        drift = 1 + 0.3 * np.sin(number / 1500)
        light = gain * drift * np.clip(1 + side[0] * x + side[1] * y, 0.2, 2)
        light = light * np.where(shadow[0] * x + shadow[1] * y > 0.1, 1.0, 1 - shadow[2])
        lit = 255 * np.clip(clip[number % len(clip)] * light / 255, 0, 1) ** gamma
        yield byte(lit + noise * random.standard_normal(lit.shape))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", nargs="+", type=Path, metavar="CLIP")
    parser.add_argument("--hours", type=float, default=2.0, help="hours of changing light for each clip")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    clips = {path.stem: pictures_of(path) for path in args.clips}
    names = list(clips)
    found: dict[str, dict[str, float]] = {}
    for place, name in enumerate(names):
        random = np.random.default_rng(args.seed)
        kinds = {"frozen": ("frozen", None)} | faults(random, clips[names[place - 1]][0])
        found[name] = {}
        for kind, (condition, fault) in kinds.items():
            found[name][kind] = found_after(clips[name], condition, fault)[0]
    rows = [[kind, *(f"{found[name][kind]:g}" for name in names)] for kind in found[names[0]]]
    table("Seconds until a fault is told", ["fault", *names], rows)

    alarms, cost_ms = {}, {}
    for name, clip in clips.items():
        height, width = clip[0].shape
        small = [
            cv2.resize(one, (WIDTH, height * WIDTH // width), interpolation=cv2.INTER_AREA).astype(np.uint8)
            for one in clip
        ]
        random = np.random.default_rng(args.seed + 1)
        alarms[name] = [
            told for _, told in changes(CameraHealth(), in_light(small, args.hours, random), 0.0) if told
        ]
        health, began_s = CameraHealth(), time.process_time()
        changes(health, islice(cycle(clip), 200), 0.0)
        cost_ms[name] = (time.process_time() - began_s) * 1e3 / 200
    rows = [
        [name, args.hours, str(len(alarms[name])), ", ".join(alarms[name]), f"{cost_ms[name]:.1f}"]
        for name in names
    ]
    table("False alarms in changing light", ["clip", "hours", "alarms", "which", "ms a picture"], rows)
    save(
        "camera_health",
        {"found_s": found, "hours": args.hours, "alarms": alarms, "ms_per_picture": cost_ms},
    )


if __name__ == "__main__":
    main()
