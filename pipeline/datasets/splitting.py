"""Divides a dataset so that images of one camera or clip are in one split, and no image leaks to another one."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from pipeline.datasets.alike import Pair
from pipeline.datasets.dataset import Dataset
from pipeline.datasets.paths import SPLITS
from pipeline.datasets.problems import DatasetError
from pipeline.datasets.writing import LAYOUT_FOLDERS

GENERIC = {*LAYOUT_FOLDERS, *SPLITS, "data", "frames"}
"""Names of folders that tell no camera."""
_NUMBER = re.compile(r"[-_. ]*(frame|img|image)?[-_. ]*\d+$", re.IGNORECASE)
_FIRST = re.compile(r"[A-Za-z]*[0-9]*")


def clip_of(path: str) -> str:
    """The clip of an image: its path without the number at the end of the name."""
    *folders, name = PurePosixPath(path).with_suffix("").parts
    kept = [folder for folder in folders if folder.casefold() not in GENERIC]
    return "/".join([*kept, _NUMBER.sub("", name) or "number"])


def camera_of(path: str) -> str:
    """The camera of an image: its folder, or where that tells none, the first word of its name."""
    plain = PurePosixPath(path)
    folders = [part for part in plain.parts[:-1] if part.casefold() not in GENERIC]
    if folders:
        return "/".join(folders)
    found = _FIRST.match(plain.stem)
    return (found.group() if found else "") or plain.stem


WAYS: Mapping[str, Callable[[str], str]] = {
    "camera": camera_of,
    "clip": clip_of,
    "folder": lambda path: str(PurePosixPath(path).parent),
    "image": lambda path: path,
}
"""Name of a way of grouping -> path of an image -> its group."""


@dataclass(frozen=True, slots=True)
class Division:
    """A dataset that was divided.

    Attributes:
        dataset: each image with its split.
        groups: group -> its split.
        left_out: (image, image that it looks like in another split) of those that would have leaked.
    """

    dataset: Dataset
    groups: Mapping[str, str]
    left_out: tuple[tuple[str, str], ...]


def group_of(by: str) -> Callable[[str], str]:
    """The function that names the group of a path.

    Args:
        by: `camera`, `clip`, `folder`, `image`, or a regular expression whose first group is the name.

    Raises:
        DatasetError: it is none of these.
    """
    if by in WAYS:
        return WAYS[by]
    try:
        pattern = re.compile(by)
    except re.error as error:
        raise DatasetError(f"--by: got {by!r}, which is no regular expression ({error})") from None
    if pattern.groups < 1:
        names = ", ".join(WAYS)
        raise DatasetError(f"--by: got {by!r}, expected {names}, or a regular expression with a group (...)")

    def named(path: str) -> str:
        found = pattern.search(path)
        if found is None:
            raise DatasetError(f"--by: {by!r} does not match the path {path}")
        return found.group(1) or ""

    return named


def divide(
    dataset: Dataset, by: str, shares: Mapping[str, float], pairs: Sequence[Pair] = (), seed: int = 1
) -> Division:
    """Gives every image a split; the images of one group have the same.

    Groups go, the largest first, where the most objects are missing to the shares. An image of `train` that looks
    like one of `val` or `test` is left out, and one of `val` that looks like one of `test`.

    Args:
        dataset: whose splits are replaced.
        by: as in `group_of`.
        shares: split -> share of the images, the first one takes what the others leave.
        pairs: images that are the same or nearly so.
        seed: decides between groups of one size.

    Raises:
        DatasetError: there are fewer groups than splits, or `by` is wrong.
    """
    name = group_of(by)
    members: dict[str, list[int]] = {}
    for place, image in enumerate(dataset.images):
        members.setdefault(name(image.path), []).append(place)
    if len(members) < len(shares):
        shown = ", ".join(list(members)[:3]) or "none"
        raise DatasetError(
            f"--by {by}: the images are in {len(members)} group(s) ({shown}), too few for {len(shares)} splits; "
            f"expected another one of {', '.join(WAYS)} or a regular expression"
        )
    groups = _assign(dataset, members, shares, seed)
    splits = {place: groups[group] for group, places in members.items() for place in places}
    rank = {split: place for place, split in enumerate(shares)}
    left_out: dict[int, int] = {}
    for pair in pairs:
        one, two = sorted((pair.first, pair.second), key=lambda place: rank[splits[place]])
        if splits[one] != splits[two] and two not in left_out:
            left_out.setdefault(one, two)
    images = tuple(
        replace(image, split=splits[place])
        for place, image in enumerate(dataset.images)
        if place not in left_out
    )
    named = tuple((dataset.images[one].path, dataset.images[two].path) for one, two in left_out.items())
    return Division(replace(dataset, images=images), groups, named)


def _assign(
    dataset: Dataset, members: Mapping[str, list[int]], shares: Mapping[str, float], seed: int
) -> dict[str, str]:
    """Group -> split: the largest first, each where the most is missing, by images and by objects of each class."""
    order = sorted(members)
    random.Random(seed).shuffle(order)
    order.sort(key=lambda group: -len(members[group]))
    weights = {group: _weight(dataset, members[group]) for group in order}
    total = sum(weights.values(), Counter[int]())
    first = next(iter(shares))
    wanted = dict(shares) | {first: 1 - sum(share for split, share in shares.items() if split != first)}
    filled: dict[str, Counter[int]] = {split: Counter() for split in shares}
    chosen: dict[str, str] = {}
    for place, group in enumerate(order):
        empty = [split for split in shares if not filled[split]]
        open_splits = empty if len(order) - place <= len(empty) else list(shares)

        def missing(split: str, group: str = group) -> float:
            own = filled[split]
            part = {key: own[key] / total[key] for key in weights[group]}
            return sum(wanted[split] - share for share in part.values()) / max(len(part), 1)

        chosen[group] = max(open_splits, key=missing)
        filled[chosen[group]].update(weights[group])
    return chosen


def _weight(dataset: Dataset, places: Sequence[int]) -> Counter[int]:
    """Class -> objects in some images; -1 -> images."""
    found = Counter({-1: len(places)})
    for place in places:
        found.update(one.class_id for one in dataset.images[place].instances)
    return found
