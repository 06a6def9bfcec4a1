"""How long to wait before a source that is away is tried again: the longer, the longer it has been away."""

from __future__ import annotations

import random
from collections.abc import Callable

FIRST_S = 0.25
SOON_S = 1.0
"""Delay after the first seconds. A camera that restarts is back within a minute or so, and found at once."""
LONGEST_S = 60.0
SHARE = 0.05
"""Delay as a share of the time that the source has been away: 3 s after a minute, 60 s after 20 minutes."""


def retry_delay_s(away_s: float, jitter: Callable[[], float] = random.random) -> float:
    """Seconds until the next attempt.

    Args:
        away_s: for how long the source has been away.
        jitter: gives numbers from 0 to 1, so that many decoders do not come back at the same moment.
    """
    delay_s = min(LONGEST_S, max(FIRST_S, min(SOON_S, away_s / 2), SHARE * away_s))
    return delay_s * (0.75 + 0.25 * jitter())
