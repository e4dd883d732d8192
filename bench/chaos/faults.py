"""Faults, each as the steps that it takes: what is done, then how long fresh changes took to be seen again."""

import random
import time
from collections.abc import Callable, Iterator

from bench.chaos.fleet import Fleet
from bench.chaos.tables import Tables
from stack.servers.kafka import Kafka

SESSION_SECONDS = 6.0
"""The joiners' session: whoever is silent for longer is taken for dead."""

POISON_RECORDS = 200

Step = tuple[str, Callable[[], None]]
"""What is done, in a few words for the report, and the deed; freshness is measured until its effects have passed."""

Fault = Callable[["Targets"], Iterator[Step]]


class Targets:
    """What faults happen to.

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


def kill_and_restart(ground: Targets) -> Iterator[Step]:
    """SIGKILL, and started again at once."""
    victim = ground.choose_victim()

    def deed() -> None:
        ground.fleet.kill(victim)
        ground.fleet.start(victim)

    yield "SIGKILL, restarted at once", deed


def kill_until_taken_over(ground: Targets) -> Iterator[Step]:
    """SIGKILL, left dead until the other has taken over, then started again."""
    victim = ground.choose_victim()
    yield "SIGKILL, left dead: taken over", lambda: ground.fleet.kill(victim)
    yield "the dead one returns", lambda: ground.fleet.start(victim)


def kill_both(ground: Targets) -> Iterator[Step]:
    """SIGKILL of all joiners, started again at once."""

    def deed() -> None:
        everyone = ground.fleet.wanted
        for number in everyone:
            ground.fleet.kill(number)
        for number in everyone:
            ground.fleet.start(number)

    yield "SIGKILL of both, restarted at once", deed


def pause_past_session(ground: Targets) -> Iterator[Step]:
    """SIGSTOP for longer than the session, then SIGCONT: a zombie."""
    victim = ground.choose_victim()
    silent = SESSION_SECONDS + ground.chance.uniform(1, 4)
    began = time.monotonic()

    def resume() -> None:
        time.sleep(max(0.0, began + silent - time.monotonic()))
        ground.fleet.resume(victim)

    yield "SIGSTOP past the session: taken over", lambda: ground.fleet.pause(victim)
    yield "SIGCONT: the zombie returns", resume


def add_and_remove_third(ground: Targets) -> Iterator[Step]:
    """Have a third joiner come, and go in peace or not."""
    yield "a third joiner joins", lambda: ground.fleet.start(2)
    if ground.chance.random() < 0.5:
        yield "the third leaves (SIGTERM)", lambda: ground.fleet.stop(2)
    else:
        yield "the third leaves (SIGKILL)", lambda: ground.fleet.kill(2)


def kill_and_delete_state(ground: Targets) -> Iterator[Step]:
    """SIGKILL, and started again with an empty disk."""
    victim = ground.choose_victim()

    def deed() -> None:
        ground.fleet.kill(victim)
        ground.fleet.delete_state(victim)
        ground.fleet.start(victim)

    yield "SIGKILL and local state deleted, restarted", deed


def kill_broker(ground: Targets) -> Iterator[Step]:
    """SIGKILL of the broker, which is started again."""
    away = ground.chance.uniform(0, 3)

    def deed() -> None:
        ground.kafka.kill()
        time.sleep(away)
        ground.kafka.start()

    yield "broker SIGKILLed and restarted", deed


def write_poison(ground: Targets) -> Iterator[Step]:
    """Write many records that no row can be read from."""
    yield "poison burst", lambda: ground.tables.poison(POISON_RECORDS)


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
    """Yield faults for ever, at random, but none a second time before all others had their turn."""
    while True:
        deck = list(FAULTS)
        chance.shuffle(deck)
        yield from deck
