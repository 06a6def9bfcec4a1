"""The state of counting rules in checkpoints: one section for each part, so that a moved line costs only its own state.

A part is what depends on the same piece of configuration: one line, one zone, or a rule as a whole. Its section is
named `RULE/PART`, and its key holds a digest of that piece.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from pipeline.records.checkpoint import SectionKey, digest
from pipeline.records.state import State, Stateful

VERSION = 1
"""Of the layout of all parts; rises when the state of a built-in rule changes."""


@dataclass(frozen=True, slots=True)
class RulePart:
    """One part of a rule's state.

    Attributes:
        depends_on: the configuration with which it has to be restored: plain values and configuration models.
        content: takes and restores the state.
    """

    depends_on: Any
    content: Stateful


@dataclass(frozen=True, slots=True)
class StateOf:
    """A `Stateful` made of two functions.

    Attributes:
        take: gives the state; as `Stateful.state`.
        put: continues from one; as `Stateful.restore`.
    """

    take: Callable[[], State]
    put: Callable[[State], None]

    def state(self) -> State:
        """See `Stateful.state`."""
        return self.take()

    def restore(self, state: State) -> None:
        """See `Stateful.restore`."""
        self.put(state)


def sections_of(
    rules: Iterable[tuple[str, Mapping[str, RulePart]]],
) -> dict[str, tuple[SectionKey, Stateful]]:
    """Sections of a checkpoint for the parts of rules.

    Args:
        rules: name of each rule, and its parts by name.
    """
    return {
        f"{rule}/{name}": (SectionKey(VERSION, digest(plain(part.depends_on))), part.content)
        for rule, parts in rules
        for name, part in parts.items()
    }


def plain(value: Any) -> Any:
    """A piece of configuration as plain JSON values.

    Args:
        value: configuration models, mappings, sequences and sets of them, and plain values.
    """
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, set | frozenset):
        return sorted(plain(one) for one in value)
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return value
