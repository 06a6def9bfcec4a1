"""How far the delivery of count events has come. Cheap to import: `delivery.py` brings the database drivers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DeliveryState:
    """Progress of delivery.

    Attributes:
        backlog: events that are in the spool and not delivered.
        oldest_wall_s: Unix time of the first of them; None where there are none.
        delivered: events written by this process, those written again included.
        rejected: events that the database refused for what they hold; they are in `rejected.jsonl` of the spool.
        error: why delivery fails at the moment, one line; empty where it does not.
        failing_since_s: Unix time since which it fails; None where it does not.
    """

    backlog: int = 0
    oldest_wall_s: float | None = None
    delivered: int = 0
    rejected: int = 0
    error: str = ""
    failing_since_s: float | None = None
