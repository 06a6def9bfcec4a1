"""Lines, zones and classes given on the command line: `--line`, `--zone` and `--class`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pipeline.config.fields import NAME_PATTERN, ConfigModel
from pipeline.config.regions import LineConfig, ZoneConfig
from pipeline.config.validation import describe
from pipeline.errors import ConfigError
from pipeline.redact import shown

_NUMBER = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_KINDS: dict[str, tuple[type[ConfigModel], str]] = {
    "line": (LineConfig, "--line 0.1,0.6,0.9,0.6"),
    "zone": (ZoneConfig, "--zone 0.1,0.6,0.9,0.6,0.9,1,0.1,1"),
}
"""What an option adds -> its configuration, and an example."""


@dataclass(frozen=True, slots=True)
class Region:
    """A line or zone of the command line.

    Attributes:
        kind: `line` or `zone`.
        name: as given; empty: it gets the next free number of its kind.
        points: x, y in fractions of the frame.
    """

    kind: str
    name: str
    points: list[list[float]]


@dataclass(frozen=True, slots=True)
class Additions:
    """What the command line adds to a configuration with one stream.

    Attributes:
        regions: lines and zones.
        classes: the classes that the stream counts; empty: as the configuration says.
    """

    regions: tuple[Region, ...] = ()
    classes: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.regions or self.classes)

    def apply(self, data: dict[str, Any], path: Path) -> None:
        """Adds them to the only stream of a configuration.

        Args:
            data: the parsed configuration, which is changed.
            path: its file, for error messages.

        Raises:
            ConfigError: there is no stream or there are several, a name is taken, or the stream has classes already.
        """
        streams = data.get("streams")
        if not self or not isinstance(streams, dict) or not streams:
            return  # validation says what is wrong with the streams
        if len(streams) > 1:
            raise ConfigError(
                f"{path}: --line, --zone and --class need a configuration with one stream, this one has {len(streams)} "
                f"({', '.join(map(shown, streams))}); write them into the file"
            )
        name, stream = next(iter(streams.items()))
        if not isinstance(stream, dict):
            return
        if self.classes:
            if stream.get("classes") is not None:
                raise ConfigError(
                    f"{path}: streams.{shown(name)}.classes is set; change it there, or leave out --class"
                )
            stream["classes"] = list(self.classes)
        for region in self.regions:
            known = stream.setdefault(f"{region.kind}s", {})
            if isinstance(known, dict):
                known[_free_name(region, known, path)] = {"points": region.points}


def parse_additions(
    lines: Sequence[str] = (), zones: Sequence[str] = (), classes: Sequence[str] = ()
) -> Additions:
    """The values of `--line`, `--zone` and `--class`.

    Args:
        lines: `X1,Y1,X2,Y2` and more points each, with `NAME=` before them if it is to have a name.
        zones: likewise, three points at least.
        classes: names of classes.

    Raises:
        ConfigError: one line for each mistake.
    """
    regions = [_parse("line", text) for text in lines] + [_parse("zone", text) for text in zones]
    if not all(name.strip() for name in classes):
        raise ConfigError("--class: is empty, expected the name of a class, e.g. --class person")
    return Additions(tuple(regions), tuple(dict.fromkeys(name.strip() for name in classes)))


def _parse(kind: str, text: str) -> Region:
    model, example = _KINDS[kind]
    where = f"--{kind} {shown(text)}"
    name, equals, rest = text.rpartition("=")
    if equals and not re.fullmatch(NAME_PATTERN, name):
        raise ConfigError(f"{where}: a name has letters, digits, `_`, `-` and `.`, at most 64")
    numbers = [part.strip() for part in rest.split(",")]
    if not all(_NUMBER.fullmatch(number) for number in numbers):
        raise ConfigError(
            f"{where}: expected numbers with commas, x and y of each point in fractions of the frame, e.g. {example}"
        )
    if len(numbers) % 2:
        raise ConfigError(
            f"{where}: got {len(numbers)} numbers, expected x and y of each point, e.g. {example}"
        )
    points = [[float(x), float(y)] for x, y in zip(numbers[::2], numbers[1::2], strict=True)]
    try:
        model.model_validate({"points": points})
    except ValidationError as error:
        raise ConfigError("\n".join(describe(error.errors(include_url=False), model, Path(where)))) from None
    return Region(kind, name, points)


def _free_name(region: Region, known: dict[str, Any], path: Path) -> str:
    if not region.name:
        return next(name for n in range(1, len(known) + 2) if (name := f"{region.kind}{n}") not in known)
    if region.name in known:
        raise ConfigError(f"{path}: there is a {region.kind} `{region.name}` already; give another name")
    return region.name
