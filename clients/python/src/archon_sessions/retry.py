"""When to try again: exponential backoff with full jitter, and a budget for all calls together."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

DELAY_MAX_S = 30.0
"""A longer pause helps nobody: by then most callers have given up."""

BURST = 10.0
"""So many tries may be made again at once, whatever went before."""

EARNED_BY_ANSWER = 0.2
"""Over time at most a fifth of the requests are tries again, so that a server in trouble is not
met by a storm of them from all its clients."""


@dataclass
class Budget:
    """What a client may still spend on trying again; answers fill it up."""

    left: float = BURST

    def take(self) -> bool:
        """Pays for one try, or says that there is nothing left."""
        if self.left < 1:
            return False
        self.left -= 1
        return True

    def answered(self) -> None:
        """Earns a part of a try, up to the burst."""
        self.left = min(BURST, self.left + EARNED_BY_ANSWER)


@dataclass
class Tries:
    """The tries of one request."""

    max_retries: int
    delay_s: float
    budget: Budget
    made: int = field(default=0, init=False)

    def next_delay(self, at_least_s: float | None = None) -> float | None:
        """Returns how many seconds to wait before the next try, or `None` if there is none.

        `at_least_s` is what the server asked for. What it asks beyond `DELAY_MAX_S` is not waited
        for: then there is no next try, and the caller learns of it.
        """
        if self.made >= self.max_retries or (at_least_s or 0) > DELAY_MAX_S:
            return None
        if not self.budget.take():
            return None
        most = min(DELAY_MAX_S, self.delay_s * 2.0**self.made)
        self.made += 1
        # Jitter comes on top of what the server asked for: clients that were turned away together
        # must not come back together.
        return (at_least_s or 0) + random.uniform(0, most)

    def progressed(self) -> None:
        """Begins to count anew, because a try brought something."""
        self.made = 0
