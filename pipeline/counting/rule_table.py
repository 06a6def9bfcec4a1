"""Registry of counting rules: one table of those that ship, and the entry points of installed packages.

A rule of one's own takes one file and one row, here or in the entry points of a package (docs/counting-rules.md):

    [project.entry-points."tallycam.rules"]
    loitering = "my_package.loitering:Loitering"
"""

from __future__ import annotations

import difflib
import importlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pipeline.config.fields import ConfigModel
from pipeline.config.schema import RuleConfig, StreamConfig
from pipeline.config.validation import describe
from pipeline.counting.counted_stream import CountedStream
from pipeline.counting.guarded_rule import GuardedRule
from pipeline.counting.rule import CountingRule
from pipeline.errors import ConfigError
from pipeline.redact import shown

ENTRY_POINTS = "tallycam.rules"
"""Entry-point group. The name of an entry is a rule's, its value a class derived from `CountingRule`."""


@dataclass(frozen=True, slots=True)
class RuleKind:
    """One counting rule that ships. Its code is imported when it is used, not before.

    Attributes:
        name: as a built-in rule, the default kind of its events; else what `streams.NAME.rules` calls it.
        rule: import path of the class, `module:Class`.
        built_in: every stream has it, configured by keys of its own, and its totals stand beside each other in
            `summary.json`. Else a stream has it if `streams.NAME.rules` says so.
    """

    name: str
    rule: str
    built_in: bool = False


RULES = (
    RuleKind("unique", "pipeline.counting.unique:UniqueObjects", built_in=True),
    RuleKind("lines", "pipeline.counting.lines:Lines", built_in=True),
    RuleKind("speeds", "pipeline.counting.line_speeds:LineSpeeds", built_in=True),
    RuleKind("zones", "pipeline.counting.zones:Zones", built_in=True),
    RuleKind("od", "pipeline.counting.journeys:OriginDestination", built_in=True),
    RuleKind("heat", "pipeline.counting.heat:HeatMap", built_in=True),
    RuleKind("camera", "pipeline.counting.camera_conditions:CameraConditions", built_in=True),
)
"""The table of rules. Rules are called, receive each other's events, and are shown in this order."""

_RESERVED = ("line", "zone")
"""Kinds of events, which no rule of one's own may be called; nor may it have the name of a built-in rule."""


def make_rules(stream: CountedStream) -> tuple[list[CountingRule], list[GuardedRule]]:
    """The built-in rules of a stream, and those that its configuration names, each with a guard.

    Args:
        stream: passed to each rule.

    Raises:
        ConfigError: there is no such rule, it cannot be imported, or its settings are wrong.
    """
    built_in = [_imported(kind.rule, kind.name)(stream, kind.name, {}) for kind in RULES if kind.built_in]
    others = [
        GuardedRule(rule(stream, name, settings), f"streams.{stream.name}.rules.{name}")
        for name, (rule, settings) in _configured(stream.name, stream.config).items()
    ]
    return built_in, others


def check_rules(stream: str, config: StreamConfig) -> None:
    """Checks `streams.NAME.rules` without making the rules, so that mistakes are found before a run starts.

    Args:
        stream: name of the stream.
        config: of the stream.

    Raises:
        ConfigError: as `make_rules`.
    """
    _configured(stream, config)


def _configured(stream: str, config: StreamConfig) -> dict[str, tuple[type[CountingRule], Any]]:
    """Name -> class and checked settings of each rule in the configuration of a stream."""
    found: dict[str, tuple[type[CountingRule], Any]] = {}
    for name, rule_config in config.rules.items():
        where = f"streams.{stream}.rules.{name}"
        if name in _RESERVED or any(kind.built_in and kind.name == name for kind in RULES):
            raise ConfigError(
                f"{where}: `{name}` is built in; give the rule another name, and say what it is with `use`"
            )
        rule = _rule_class(rule_config.use or name, where)
        found[name] = rule, _settings(rule, rule_config, where)
    return found


def _rule_class(use: str, where: str) -> type[CountingRule]:
    """The rule that a configuration means: a row of the table, an entry point, or a class by its import path."""
    module, colon, attribute = use.partition(":")
    if colon and all(part.isidentifier() for part in (*module.split("."), *attribute.split("."))):
        if "" not in sys.path:
            sys.path.append("")  # after all others: a file in the working folder hides no installed package
        return _imported(use, where)
    known = {kind.name: kind.rule for kind in RULES if not kind.built_in}
    known |= {point.name: point.value for point in entry_points(group=ENTRY_POINTS)}
    if use in known:
        return _imported(known[use], where)
    hint = f"known: {', '.join(sorted(known)) or 'none'}"
    if nearest := difflib.get_close_matches(use, known, n=1, cutoff=0.5):
        hint += f"; did you mean `{nearest[0]}`?"
    raise ConfigError(
        f"{where}: there is no counting rule `{shown(use)}` ({hint}); "
        "one of your own goes by `use: package.module:Class`"
    )


def _imported(path: str, where: str) -> type[CountingRule]:
    """The class that `module:Class` names.

    Raises:
        ConfigError: there is none, or it is no rule; `where` is the place in the configuration.
    """
    module_name, _, attribute = path.partition(":")
    try:
        found: Any = importlib.import_module(module_name)
    except Exception as error:  # user code may raise anything
        what = str(error) if isinstance(error, ImportError) else f"{type(error).__name__}: {error}"
        raise ConfigError(f"{where}: {path}: {module_name} cannot be imported: {what}") from error
    for part in attribute.split("."):
        found = getattr(found, part, None)
    if not (isinstance(found, type) and issubclass(found, CountingRule)):
        raise ConfigError(f"{where}: {path} is no counting rule: expected a class derived from CountingRule")
    return found


def _settings(rule: type[CountingRule], config: RuleConfig, where: str) -> ConfigModel | Mapping[str, Any]:
    """The settings of a rule, checked by its own model."""
    given = config.model_extra or {}
    if rule.Settings is None:
        return given
    try:
        return rule.Settings.model_validate(given)
    except ValidationError as error:
        mistakes = describe(error.errors(include_url=False), rule.Settings, Path(where))
    raise ConfigError("\n".join(mistakes))
