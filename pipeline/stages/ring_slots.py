"""Which slots of a ring are free. Pure."""

from __future__ import annotations

import heapq


class RingSlots:
    """Slots for ordinary use, and a reserve for outages. The lowest free slot is taken first, so that the reserve stays
    without memory until it is needed.

    Args:
        ordinary: Slots 0..ordinary - 1.
        reserve: Slots above those.
    """

    def __init__(self, ordinary: int, reserve: int) -> None:
        self._ordinary, self._all = ordinary, ordinary + reserve
        self._free = list(range(self._all))
        self._reserve_used = False

    def any_free(self, *, reserve: bool) -> bool:
        """Whether a slot can be taken.

        Args:
            reserve: One of the reserve may be.
        """
        return bool(self._free) and (reserve or self._free[0] < self._ordinary)

    def take(self) -> int:
        """Takes the lowest free slot."""
        slot = heapq.heappop(self._free)
        self._reserve_used |= slot >= self._ordinary
        return slot

    def give_back(self, slot: int) -> None:
        """Frees a slot.

        Args:
            slot: As `take` returned it.
        """
        heapq.heappush(self._free, slot)

    def unused_reserve(self) -> range:
        """The reserve, if it was used and all of it is free again; then empty until it is used the next time."""
        if (
            not self._reserve_used
            or sum(slot >= self._ordinary for slot in self._free) < self._all - self._ordinary
        ):
            return range(0)
        self._reserve_used = False
        return range(self._ordinary, self._all)

    @property
    def used(self) -> int:
        """Slots that are not free."""
        return self._all - len(self._free)
