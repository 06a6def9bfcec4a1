"""Appearance of pedestrians: body, clothes, hair, bags."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.demo.scene.sprite import Colour

SKINS: tuple[Colour, ...] = ((244, 208, 180), (226, 178, 140), (196, 140, 100), (146, 96, 66), (98, 64, 46))
HAIRS: tuple[Colour, ...] = (
    (38, 30, 28), (70, 46, 32), (112, 74, 44), (170, 124, 70), (206, 170, 110), (140, 60, 36), (176, 174, 170),
)  # fmt: skip
TOPS: tuple[Colour, ...] = (
    (190, 58, 54), (222, 120, 48), (232, 188, 72), (74, 124, 82), (48, 92, 140), (88, 148, 186), (112, 78, 132),
    (206, 108, 134), (236, 232, 224), (60, 62, 70), (150, 152, 154), (138, 104, 76), (36, 50, 78), (120, 150, 110),
    (86, 40, 52), (226, 206, 176),
)  # fmt: skip
BOTTOMS: tuple[Colour, ...] = (
    (44, 58, 92), (66, 88, 128), (40, 40, 46), (88, 84, 82), (146, 124, 96), (96, 74, 60), (72, 84, 66),
    (206, 196, 180),
)  # fmt: skip
SHOES: tuple[Colour, ...] = ((38, 34, 34), (92, 62, 44), (232, 232, 230), (170, 50, 48))


@dataclass(frozen=True)
class PersonLook:
    """Appearance of one pedestrian.

    Attributes:
        height_m: of the body.
        girth: factor for the width of hips and legs.
        skin, hair, top, bottom, shoes, bag_colour: colours.
        hair_style: `short`, `long`, `bun`, `cap`, `bald` or `hat`.
        wear: `trousers`, `skirt`, `coat` or `shorts`.
        bag: `none`, `backpack`, `handbag`, `shopper` or `suitcase`.
        bag_side: +1 carries it in the left hand, -1 in the right hand.
        phase: of the gait at the start, radians.
    """

    height_m: float
    girth: float
    skin: Colour
    hair: Colour
    hair_style: str
    top: Colour
    bottom: Colour
    shoes: Colour
    wear: str
    bag: str
    bag_colour: Colour
    bag_side: int
    phase: float


def _pick(rng: np.random.Generator, colours: tuple[Colour, ...]) -> Colour:
    base = colours[int(rng.integers(len(colours)))]
    jitter = rng.uniform(-14, 14, 3)
    r, g, b = (float(min(250.0, max(8.0, c + j))) for c, j in zip(base, jitter, strict=True))
    return r, g, b


def make_person(rng: np.random.Generator) -> PersonLook:
    """Draws a random pedestrian; about one in nine is a child.

    Args:
        rng: Source of randomness.
    """
    child = rng.random() < 0.11
    style = str(rng.choice(["short", "short", "long", "long", "bun", "cap", "hat", "bald"]))
    wear = str(rng.choice(["trousers", "trousers", "trousers", "coat", "coat", "skirt", "shorts"]))
    bag = str(rng.choice(["none", "none", "backpack", "backpack", "handbag", "shopper", "suitcase"]))
    return PersonLook(
        height_m=float(rng.uniform(1.28, 1.45) if child else rng.normal(1.74, 0.075)),
        girth=float(rng.uniform(0.92, 1.2)),
        skin=SKINS[int(rng.choice(5, p=[0.34, 0.24, 0.18, 0.14, 0.10]))],
        hair=HAIRS[int(rng.integers(len(HAIRS)))],
        hair_style=style,
        top=_pick(rng, TOPS),
        bottom=_pick(rng, BOTTOMS),
        shoes=SHOES[int(rng.integers(len(SHOES)))],
        wear=wear,
        bag="none" if child and bag == "suitcase" else bag,
        bag_colour=_pick(rng, TOPS),
        bag_side=int(rng.choice([-1, 1])),
        phase=float(rng.uniform(0, 6.28)),
    )


def person_extent(look: PersonLook) -> tuple[float, float, float]:
    """Half length, half width and height in metres of the box a person is drawn in.

    Args:
        look: From `make_person`.
    """
    return 0.62, 0.5, look.height_m * 1.06
