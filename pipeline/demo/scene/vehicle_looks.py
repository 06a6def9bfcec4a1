"""Appearance of cars and buses: side outlines, sizes, paint."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.demo.scene.pinhole import Floats
from pipeline.demo.scene.sprite import Colour, shade

PAINTS: tuple[Colour, ...] = (
    (196, 44, 42), (40, 84, 150), (236, 236, 234), (52, 54, 60), (166, 172, 178), (72, 128, 96), (232, 186, 62),
    (92, 150, 190), (120, 38, 48), (216, 206, 186), (222, 112, 48), (34, 58, 72), (128, 118, 104),
)  # fmt: skip
LIVERIES: tuple[tuple[Colour, Colour], ...] = (
    ((200, 46, 44), (244, 240, 232)), ((238, 196, 60), (60, 60, 66)), ((62, 128, 88), (240, 240, 228)),
    ((52, 98, 162), (238, 240, 242)), ((240, 238, 232), (196, 52, 60)), ((236, 132, 52), (250, 244, 232)),
    ((226, 230, 232), (60, 120, 180)),
)  # fmt: skip

# For each kind of car: its side outline from the rear bumper over the roof to the front, as (share of the length,
# height in metres); belt and roof height; window pillars as shares of the length (rear base, rear top, middle, front
# top, front base); shortest and longest length in metres.
CARS: dict[str, tuple[tuple[tuple[float, float], ...], float, float, tuple[float, ...], tuple[float, float]]] = {
    "hatch": (((-0.5, 0.26), (-0.505, 0.62), (-0.485, 0.92), (-0.4, 1.38), (-0.2, 1.49), (0.06, 1.47),
               (0.27, 0.98), (0.42, 0.86), (0.49, 0.7), (0.5, 0.28)), 0.93, 1.47,
              (-0.45, -0.38, -0.08, 0.06, 0.24), (3.8, 4.2)),
    "sedan": (((-0.5, 0.28), (-0.505, 0.66), (-0.485, 0.92), (-0.33, 0.96), (-0.2, 1.38), (-0.05, 1.44),
               (0.08, 1.41), (0.26, 0.95), (0.43, 0.84), (0.495, 0.68), (0.5, 0.28)), 0.92, 1.43,
              (-0.3, -0.19, -0.05, 0.07, 0.22), (4.4, 4.8)),
    "wagon": (((-0.5, 0.28), (-0.505, 0.66), (-0.49, 0.95), (-0.44, 1.4), (-0.2, 1.49), (0.06, 1.45),
               (0.25, 0.97), (0.42, 0.85), (0.495, 0.68), (0.5, 0.28)), 0.94, 1.47,
              (-0.47, -0.42, -0.08, 0.05, 0.22), (4.4, 4.8)),
    "suv": (((-0.5, 0.34), (-0.505, 0.74), (-0.49, 1.06), (-0.43, 1.58), (-0.2, 1.69), (0.05, 1.66),
             (0.24, 1.1), (0.42, 1.0), (0.495, 0.8), (0.5, 0.34)), 1.06, 1.67,
            (-0.46, -0.41, -0.08, 0.05, 0.21), (4.3, 4.7)),
    "van": (((-0.5, 0.3), (-0.505, 0.9), (-0.5, 1.5), (-0.46, 1.84), (-0.1, 1.9), (0.16, 1.86), (0.34, 1.12),
             (0.45, 0.96), (0.495, 0.76), (0.5, 0.3)), 1.1, 1.86,
            (-0.45, -0.43, -0.06, 0.16, 0.31), (4.5, 4.9)),
}  # fmt: skip


@dataclass(frozen=True)
class VehicleLook:
    """Shape and paint of a car or a bus; `kind` is a key of `CARS`, or `bus`."""

    kind: str
    length_m: float
    width_m: float
    height_m: float
    paint: Colour
    second: Colour
    taxi: bool
    plain_rims: bool
    wheel_m: float


def make_car(rng: np.random.Generator) -> VehicleLook:
    """Draws a random car: hatchback, sedan, estate, SUV or van.

    Args:
        rng: Source of randomness.
    """
    kind = str(rng.choice(list(CARS), p=[0.28, 0.24, 0.2, 0.18, 0.1]))
    low, high = CARS[kind][4]
    paint = PAINTS[int(rng.integers(len(PAINTS)))]
    jitter = float(rng.uniform(0.92, 1.06))
    return VehicleLook(kind, float(rng.uniform(low, high)), float(rng.uniform(1.72, 1.84)), CARS[kind][2] + 0.03,
                       shade(paint, jitter), (40, 42, 46), bool(kind == "sedan" and rng.random() < 0.2),
                       bool(rng.random() < 0.5), 0.35 if kind in ("suv", "van") else 0.32)  # fmt: skip


def make_bus(rng: np.random.Generator) -> VehicleLook:
    """Draws a random city bus.

    Args:
        rng: Source of randomness.
    """
    paint, second = LIVERIES[int(rng.integers(len(LIVERIES)))]
    return VehicleLook("bus", float(rng.uniform(7.8, 9.4)), 2.45, float(rng.uniform(2.85, 3.05)), paint, second,
                       False, True, 0.46)  # fmt: skip


def vehicle_extent(look: VehicleLook) -> tuple[float, float, float]:
    """Half length, half width and height in metres.

    Args:
        look: From `make_car` or `make_bus`.
    """
    return look.length_m / 2 + 0.06, look.width_m / 2 + 0.06, look.height_m + 0.25


def _round(points: Floats, times: int) -> Floats:
    """Rounds the corners of an open outline (Chaikin 1974), keeping its ends."""
    for _ in range(times):
        a, b = points[:-1], points[1:]
        cut = np.empty((2 * len(a), 2))
        cut[0::2], cut[1::2] = a * 0.78 + b * 0.22, a * 0.22 + b * 0.78
        points = np.concatenate([points[:1], cut, points[-1:]])
    return points


def outline(look: VehicleLook) -> Floats:
    """Side outline from the rear bottom over the roof to the front bottom: (N, 2) forward and up, metres.

    Args:
        look: From `make_car` or `make_bus`.
    """
    if look.kind == "bus":
        half, top = look.length_m / 2, look.height_m
        raw = [(-half, 0.3), (-half - 0.01, 1.2), (-half + 0.05, top - 0.12), (-half + 0.3, top), (half - 0.45, top),
               (half - 0.12, top - 0.2), (half, 1.2), (half, 0.3)]  # fmt: skip
        return _round(np.array(raw), 2)
    return _round(np.array(CARS[look.kind][0]) * np.array([look.length_m, 1.0]), 2)
