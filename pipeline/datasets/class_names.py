"""The classes of a dataset while it is read."""

from __future__ import annotations

from collections.abc import Iterable

MAX_NAME = 256


class ClassNames:
    """Gives each class name an id, in the order in which they come.

    Args:
        names: classes that are known before.
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._ids: dict[str, int] = {}
        for name in names:
            self.id_of(name)

    def id_of(self, name: str) -> int:
        """The id of a class, a new one for a new name.

        Args:
            name: spaces around it are dropped.

        Raises:
            ValueError: it is empty, too long, or not printable.
        """
        clean = name.strip()
        if not clean or len(clean) > MAX_NAME or not clean.isprintable():
            raise ValueError(f"got the class name {name[:40]!r}, expected a printable name")
        return self._ids.setdefault(clean, len(self._ids))

    @property
    def names(self) -> tuple[str, ...]:
        """In the order of their ids."""
        return tuple(self._ids)
