"""Numbers the packs of changes that stage 1 sends, so that stage 2 notices one that comes again, or is missing.

A pack is committed with the state of the rows that led to it, or not at all; Kafka's transactions promise that. Where
they fail, changes would be counted twice or never, for good and without a word. So each pack has a number in several
chains, and in each chain n + 1 comes after n:

- in that of every source partition whose rows the checkpoint has read. Its number is stored with these rows: a pack
  that was committed without them comes again under the same number, and rows without their pack leave one out;
- in that of the joiner's life, which is kept in memory: a commit that the joiner was told of, and that was none, leaves
  numbers out. This one covers rows of which no state is kept, too.

Stage 2 keeps the last number of each chain with the states that it has led to. A checkpoint's writes to one changelog
begin with these numbers and end with the offset up to which changes are applied, so one of which only a part was
committed is noticed as well. Pure: no Kafka, no clock.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import orjson

from joiner.core.compatibility import RESET
from shared.errors import StateError

CHAIN_HEADER = "chain"
"""Header of a pack. Earlier versions, which may be of the same group, neither write it nor read it."""

SENT_KEY = b"\xffsent"
"""Stored behind a source partition's rows: how many packs they led to. No row's id in UTF-8 begins with this byte."""

FOLLOWED_KEY = b"\xffchains"
"""Stored before the users' states: the last number of each chain. No user id in UTF-8 begins with this byte."""


class Link(NamedTuple):
    """A pack's place in one chain.

    Args:
        chain: its name.
        number: 1 for the first pack that it leads to an internal partition.
        life: a chain whose numbers are in memory begins again in each life of its joiner; "" in any other.
    """

    chain: str
    number: int
    life: str = ""


def name_source_chain(topic: str, partition: int) -> str:
    """Return the name of a source partition's chain."""
    return f"{topic}/{partition}"


def encode_links(links: Iterable[Link]) -> bytes:
    """Return a pack's places as they travel: a JSON array; `decode_links` reads it."""
    return orjson.dumps([[*link] for link in links])


def decode_links(headers: Sequence[tuple[str, bytes | None]] | None) -> list[Link]:
    """Return a pack's places, given its record's headers; none where an earlier version has sent it."""
    for name, value in headers or ():
        if name == CHAIN_HEADER and value is not None:
            return [Link(*link) for link in orjson.loads(value)]
    return []


class Life:
    """Numbers the packs of a joiner from one beginning to the next. Used by the thread that closes a checkpoint.

    Args:
        joiner: names the joiner.
        life: no other beginning has the same.
    """

    def __init__(self, joiner: str, life: str) -> None:
        # No topic has this character in its name, so none has a chain of this name.
        self._chain = f"/{joiner}"
        self._life = life
        self._sent: Counter[int] = Counter()

    def count_pack(self, target: int) -> Link:
        """Return the place of the next pack to an internal partition."""
        self._sent[target] += 1
        return Link(self._chain, self._sent[target], self._life)


class FollowedChains:
    """The last number of each chain that leads to an internal partition.

    Args:
        last: chain -> its life and its last number.
        learns: True if an earlier version has applied packs, and noted no number: what follows a chain's first pack is
            compared, the first one is taken as it is.
    """

    def __init__(self, last: Mapping[str, tuple[str, int]], *, learns: bool = False) -> None:
        self._last = dict(last)
        self._learns = learns

    def follow(self, links: Iterable[Link], where: str) -> None:
        """Note a pack.

        Args:
            links: its places.
            where: the record that it is in, for people.

        Raises:
            StateError: it comes again, or another one should have come before it; nothing of it may be applied.
        """
        for chain, number, life in links:
            known_life, last = self._last.get(chain, (life, number - 1 if self._learns else 0))
            last = last if known_life == life else 0
            if number != last + 1:
                raise _refuse(where, Link(chain, number, life), last)
            self._last[chain] = life, number

    def encode(self, next_offset: int) -> bytes:
        """Return it as it is stored with the next internal offset to apply; `decode_followed` reads it."""
        return orjson.dumps([next_offset, self._learns, self._last])


def _refuse(where: str, link: Link, last: int) -> StateError:
    chain = link.chain.removeprefix("/")
    if link.number <= last:
        found = f"{where} is pack {link.number} of {chain} once more, after pack {last}: its changes would count twice"
    else:
        found = f"{where} is pack {link.number} of {chain}, and pack {last + 1} is missing: its changes would be lost"
    return StateError(f"{found}; Kafka kept a transaction in part, and nothing of the pack is applied", hint=RESET)


def decode_followed(stored: bytes | None, next_offset: int | None, where: str) -> FollowedChains:
    """Return the chains that `FollowedChains.encode` wrote.

    Args:
        stored: as stored; None: nothing is.
        next_offset: the next internal offset to apply, as it is stored behind the users' states; None: none is.
        where: the record that is about to be applied, for people.

    Raises:
        StateError: only a part of a checkpoint's states is stored.
    """
    if stored is None:
        return FollowedChains({}, learns=next_offset is not None)
    noted, learns, last = orjson.loads(stored)
    if noted > (next_offset or 0):
        raise StateError(
            f"the state that {where} belongs to holds a part of the changes before offset {noted}, and not all of"
            " them: Kafka kept a transaction in part, so counts would be wrong",
            hint=RESET,
        )
    if noted < (next_offset or 0):
        # An earlier version has gone on from there meanwhile, and noted no numbers.
        return FollowedChains({}, learns=True)
    return FollowedChains({chain: (life, number) for chain, (life, number) in last.items()}, learns=learns)
