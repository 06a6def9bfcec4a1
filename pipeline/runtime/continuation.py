"""Whether a run can go on in the folder of an earlier one, and what has changed since. Touches nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline.config.schema import Config
from pipeline.errors import ConfigError, TallycamError
from pipeline.records.summary import plain
from pipeline.redact import MASK, is_secret
from pipeline.runtime.run_files import EarlierRun
from pipeline.video.sources.kinds import is_recording

MAX_NAMED = 5
"""Changes that a message names."""
_ABSENT = object()


class NothingLeftError(TallycamError):
    """The earlier run is complete: every source was counted to its end (exit code 0)."""

    exit_code = 0


def without_secrets(config: Config) -> Any:
    """A configuration as plain values, as `DIR/config.json` holds it: passwords are masked, also those within URLs.

    Args:
        config: Of a run.
    """
    return plain(_masked(config.model_dump(mode="json")))


def changes_since(config: Config, out: Path) -> list[str]:
    """What has changed in a configuration since the earlier run: dotted keys, without those of passwords.

    Args:
        config: Of the new run.
        out: The folder; without a readable `config.json` in it nothing is known to have changed.
    """
    try:
        before = json.loads((out / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    return list(_differences(before, without_secrets(config), ""))


def setting_changes(before: Config, now: Config) -> list[str]:
    """Dotted keys of the settings in which two configurations differ.

    Args:
        before: One of them.
        now: The other one.
    """
    return list(_differences(before.model_dump(mode="json"), now.model_dump(mode="json"), ""))


def check_continuation(config: Config, out: Path, earlier: EarlierRun) -> None:
    """Checks that the new run may go on with an earlier one.

    A stream without end goes on with whatever configuration. A recording is counted with one configuration from its
    first frame to its last.

    Args:
        config: Of the new run.
        out: The folder.
        earlier: The run that it holds.

    Raises:
        ConfigError: A recording would be counted with two configurations.
        NothingLeftError: All of it has been counted.
    """
    changed = changes_since(config, out)
    recordings = [name for name, stream in config.streams.items() if is_recording(stream)]
    for name in recordings:
        mattering = [key for key in changed if matters(key, name)]
        if name in earlier.streams and mattering:
            raise ConfigError(
                f"{out}: holds {earlier}, and {named(mattering)} changed since; a recording is counted with one "
                "configuration: --overwrite counts anew, --resume goes on all the same, another --out leaves the run "
                "alone"
            )
    if len(recordings) == len(config.streams) and _is_complete(out, recordings):
        raise NothingLeftError(
            f"{out}: {earlier} is complete, nothing is left to count; --overwrite counts anew"
        )


def named(keys: list[str]) -> str:
    """Some keys in words: `a, b and 3 more`.

    Args:
        keys: At least one.
    """
    shown, more = keys[:MAX_NAMED], len(keys) - MAX_NAMED
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")


def matters(key: str, stream: str) -> bool:
    """Whether a setting decides what is counted in a stream.

    Args:
        key: Dotted.
        stream: Name.
    """
    return (
        key.startswith(("model.", "tracker.", f"streams.{stream}."))
        and not key.startswith(
            ("model.device", "model.workers", "model.batch", "tracker.workers", f"streams.{stream}.slots")
        )
        and key not in (f"streams.{stream}.start", f"streams.{stream}.catch_up_s")
    )


def _is_complete(out: Path, streams: list[str]) -> bool:
    try:
        summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
        delivered = not summary.get("events_waiting")  # those that wait are delivered by the next run
        return summary["complete"] is True and delivered and set(streams) <= summary["streams"].keys()
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def _differences(before: Any, now: Any, key: str) -> Iterator[str]:
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        for name in dict.fromkeys([*before, *now]):
            part = f"{key}.{name}" if key else name
            yield from _differences(before.get(name, _ABSENT), now.get(name, _ABSENT), part)
    elif before != now:
        yield key


def _masked(value: Any, name: str = "") -> Any:
    """Values of settings such as `password` masked; `plain` masks those within URLs."""
    if isinstance(value, dict):
        return {key: _masked(part, key) for key, part in value.items()}
    if isinstance(value, list):
        return [_masked(part, name) for part in value]
    return MASK if isinstance(value, str) and is_secret(name) else value
