"""Injected faults, each as its steps: what is done, after which it is measured how long changes took to be seen."""

import random
import time
from collections.abc import Callable, Iterator

from bench.chaos.fleet import Fleet
from bench.chaos.tables import Tables
from stack.servers.kafka import Kafka

SESSION_SECONDS = 6.0
"""The joiners' session: Kafka treats one that is silent for longer as dead."""

POISON_RECORDS = 200

Step = tuple[str, Callable[[], None]]
"""What is done, in a few words for the report, and the action; freshness is measured until its effects have passed."""

Fault = Callable[["Targets"], Iterator[Step]]


class Targets:
    """What the faults are injected into.

    Args:
        kafka: the broker.
        fleet: the joiners; two of them are meant to run.
        tables: what changes.
        chance: draws the victims.
    """

    def __init__(self, kafka: Kafka, fleet: Fleet, tables: Tables, chance: random.Random) -> None:
        self.kafka = kafka
        self.fleet = fleet
        self.tables = tables
        self.chance = chance

    def choose_victim(self) -> int:
        """Choose a joiner."""
        return self.chance.choice(self.fleet.wanted)


def kill_and_restart(targets: Targets) -> Iterator[Step]:
    """SIGKILL, and started again at once."""
    victim = targets.choose_victim()

    def action() -> None:
        targets.fleet.kill(victim)
        targets.fleet.start(victim)

    yield "SIGKILL, restarted at once", action


def kill_until_taken_over(targets: Targets) -> Iterator[Step]:
    """SIGKILL, left dead until the other has taken over, then started again."""
    victim = targets.choose_victim()
    yield "SIGKILL, left dead: taken over", lambda: targets.fleet.kill(victim)
    yield "the dead one returns", lambda: targets.fleet.start(victim)


def kill_both(targets: Targets) -> Iterator[Step]:
    """SIGKILL of all joiners, started again at once."""

    def action() -> None:
        everyone = targets.fleet.wanted
        for number in everyone:
            targets.fleet.kill(number)
        for number in everyone:
            targets.fleet.start(number)

    yield "SIGKILL of both, restarted at once", action


def pause_past_session(targets: Targets) -> Iterator[Step]:
    """SIGSTOP for longer than the session, then SIGCONT: a zombie."""
    victim = targets.choose_victim()
    silent = SESSION_SECONDS + targets.chance.uniform(1, 4)
    began = time.monotonic()

    def resume() -> None:
        time.sleep(max(0.0, began + silent - time.monotonic()))
        targets.fleet.resume(victim)

    yield "SIGSTOP past the session: taken over", lambda: targets.fleet.pause(victim)
    yield "SIGCONT: the zombie returns", resume


def add_and_remove_third(targets: Targets) -> Iterator[Step]:
    """Start a third joiner, and stop or kill it."""
    yield "a third joiner joins", lambda: targets.fleet.start(2)
    if targets.chance.random() < 0.5:
        yield "the third leaves (SIGTERM)", lambda: targets.fleet.stop(2)
    else:
        yield "the third leaves (SIGKILL)", lambda: targets.fleet.kill(2)


def kill_and_delete_state(targets: Targets) -> Iterator[Step]:
    """SIGKILL, and started again with an empty disk."""
    victim = targets.choose_victim()

    def action() -> None:
        targets.fleet.kill(victim)
        targets.fleet.delete_state(victim)
        targets.fleet.start(victim)

    yield "SIGKILL and local state deleted, restarted", action


def kill_broker(targets: Targets) -> Iterator[Step]:
    """SIGKILL of the broker, which is started again."""
    away = targets.chance.uniform(0, 3)

    def action() -> None:
        targets.kafka.kill()
        time.sleep(away)
        targets.kafka.start()

    yield "broker SIGKILLed and restarted", action


def write_poison(targets: Targets) -> Iterator[Step]:
    """Write many records that no row can be read from."""
    yield "poison burst", lambda: targets.tables.poison(POISON_RECORDS)


FAULTS: tuple[Fault, ...] = (
    kill_and_restart,
    kill_until_taken_over,
    kill_both,
    pause_past_session,
    add_and_remove_third,
    kill_and_delete_state,
    kill_broker,
    write_poison,
)


def draw_faults(chance: random.Random) -> Iterator[Fault]:
    """Yield faults endlessly, at random, none a second time before all others had their turn."""
    while True:
        deck = list(FAULTS)
        chance.shuffle(deck)
        yield from deck
