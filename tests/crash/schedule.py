"""When what is killed: decided by a seed, and carried out with the clock."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from crash.books import Kill
from crash.violations import GATEWAY

UPSTREAM = "upstream"

Choices = dict[tuple[str, ...], int]
# How often which victims are chosen.
VICTIMS: Choices = {(GATEWAY,): 5, (UPSTREAM,): 3, (GATEWAY, UPSTREAM): 1, (UPSTREAM, GATEWAY): 1}
# Half of the restarts come at once; the others let clients meet a process that is not there.
AWAY_S = (0.5,)


class Victim(Protocol):
    """A process that can be killed and started again."""

    def kill(self) -> None:
        """Ends it at once, as a crash would."""

    def restart(self) -> None:
        """Starts it again where it was, and returns when it is ready."""


@dataclass(frozen=True)
class Blow:
    """One moment of a schedule: what is killed, and for how long it stays away."""

    pause_s: float  # since everything was back after the blow before
    victims: tuple[str, ...]
    away_s: float


def schedule(
    seed: int,
    blows: int,
    pause_s: tuple[float, float],
    victims: Choices = VICTIMS,
    away_s: tuple[float, ...] = AWAY_S,
) -> list[Blow]:
    """Returns the same schedule for the same arguments. `away_s` are longest absences, each as likely as none."""
    chance = random.Random(seed)
    choices, weights = list(victims), list(victims.values())
    return [
        Blow(
            pause_s=chance.uniform(*pause_s),
            victims=chance.choices(choices, weights)[0],
            away_s=chance.choice((0.0, *(chance.uniform(0.0, most) for most in away_s))),
        )
        for _ in range(blows)
    ]


def carry_out(
    blows: list[Blow],
    victims: Mapping[str, Victim],
    say: Callable[[str], None],
    wait: Callable[[float], object] | None = None,
    until_worked: Callable[[], object] = lambda: None,
) -> Iterator[Kill]:
    """Kills and restarts, and yields each kill once its victim is back.

    Before each blow it waits for its pause, and then until clients have done their work.
    """
    wait = wait or threading.Event().wait
    for number, blow in enumerate(blows, 1):
        wait(blow.pause_s)
        until_worked()
        times = {}
        for name in blow.victims:
            killed_at = time.time()
            victims[name].kill()
            times[name] = killed_at, time.time()
        wait(blow.away_s)
        for name in blow.victims:
            victims[name].restart()
            yield Kill(name, *times[name], ready_at=time.time())
        if number % 10 == 0 or number == len(blows):
            say(f"{number} of {len(blows)} kills")
