"""Copies of the topic as keys of a Redis: a batch's keys and the state that follows are one MULTI.

A user of the live copy has the key that programs read, one of the next copy a key with a prefix of its own. All keys
with the prefix of the live copy belong to the sink.
"""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, suppress
from itertools import islice
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from replication.records import Record
from shared.shape import BUILT_IN_SHAPE
from sink.claims import Claim
from sink.errors import Claimed, ForeignData, StoreChanged
from sink.redis.commands import RENDER, Command, Form, find_reason
from sink.redis.errors import translate_errors
from sink.state import CopyState
from sink.store import Copy

CLAIM_MS = 10_000
"""For how long nobody else may write after a sink was last heard of."""

SCAN_COUNT = 1_000

EVICTING = re.compile(rb"allkeys-")
"""Policies by which a full Redis deletes keys that have no expiry."""


class RedisStore:
    """The store; see `sink.store.Store`.

    Args:
        url: where Redis is.
        prefix: what the keys begin with that programs read.
        form: what is under them.
    """

    def __init__(self, url: str, prefix: str, form: Form) -> None:
        self.name = f"the keys {prefix}* of Redis"
        self.remedy = f"stop the sink, delete the keys {prefix}* and sink:{prefix}*, and start it"
        self._form = form
        self._render = RENDER[form]
        own = f"sink:{prefix}".encode()
        self._prefixes: dict[Copy, bytes] = {"live": prefix.encode(), "next": own + b"next:"}
        self._states: dict[Copy, bytes] = {"live": own + b"state:live", "next": own + b"state:next"}
        self._refused: dict[Copy, bytes] = {"live": own + b"refused:live", "next": own + b"refused:next"}
        self._owner = own + b"owner"
        self._claim = Claim()
        # A command that failed is never sent again by itself: what became of it is asked of the state.
        retry = Retry(NoBackoff(), 0)
        self._redis: Any = redis.Redis.from_url(url, socket_timeout=15, socket_connect_timeout=5, retry=retry)
        self._known: dict[Copy, bytes] = {}
        self._has_refused = True

    def open(self) -> None:
        """Connect, and claim what is to be written."""
        self._known.clear()
        with self._translated():
            self._refuse_unsound()
            name = self._claim.owner.encode()
            if not self._redis.set(self._owner, name, nx=True, px=CLAIM_MS) and self._redis.get(self._owner) != name:
                owner = self._redis.get(self._owner) or b"just ended"
                raise Claimed(f"{self.name} are written by another sink ({_show(owner)})")
            self._claim.renew()
            self._refuse_foreign()
            self._has_refused = any(self._redis.exists(key) for key in self._refused.values())

    def _refuse_unsound(self) -> None:
        """Refuse a Redis that would break what a sink promises."""
        facts = {**self._redis.info("memory"), **self._redis.info("cluster")}
        policy = str(facts.get("maxmemory_policy", "noeviction"))
        if EVICTING.match(policy.encode()):
            raise ForeignData(
                f"Redis has maxmemory-policy {policy}: full, it would delete users without a word",
                "set it to noeviction; the sink waits while Redis is full",
            )
        if facts.get("cluster_enabled"):
            raise ForeignData(
                "this is a Redis Cluster, where one MULTI cannot hold keys of several slots",
                "use a Redis that is no cluster",
            )

    def _refuse_foreign(self) -> None:
        """Refuse keys that no sink has made, and those of another form."""
        state = self._redis.get(self._states["live"])
        if state is None and next(self._scan("live"), None) is not None:
            raise ForeignData(
                f"{self.name} are there already, and no sink has made them", "set SINK_REDIS_PREFIX to one of its own"
            )
        form = state and json.loads(state)["form"]
        if form is not None and form != self._form:
            raise ForeignData(
                f"{self.name} are each a {form}, and SINK_REDIS_FORM is {self._form}",
                "set another SINK_REDIS_PREFIX for another form",
            )

    def close(self) -> None:
        """Give up the claim, and disconnect."""
        with suppress(redis.RedisError), self._redis.pipeline() as pipe:
            pipe.watch(self._owner)
            if pipe.get(self._owner) == self._claim.owner.encode():
                pipe.multi()
                pipe.delete(self._owner)
                pipe.execute()
        self._redis.close()
        self._known.clear()

    def keep_claim(self) -> None:
        """Say that this sink is still there."""
        if self._claim.is_due():
            with self._translated(), self._redis.pipeline() as pipe:
                self._watch(pipe)
                pipe.multi()
                self._renew(pipe)
                pipe.execute()
            self._claim.renew()

    def _watch(self, pipe: Any) -> None:  # noqa: ANN401 - its annotations mix in its asynchronous twin's
        """Have the transaction fail unless the claim is this process's, or nobody's, until it is executed."""
        pipe.watch(self._owner, *self._states.values())
        owner = pipe.get(self._owner)
        if owner is not None and owner != self._claim.owner.encode():
            raise StoreChanged(f"{self.name} are written by another sink ({_show(owner)})")
        for copy, known in self._known.items():
            if pipe.get(self._states[copy]) != known:
                raise StoreChanged(f"{self.name} are not as this sink has left them")

    def _renew(self, pipe: Any) -> None:  # noqa: ANN401
        pipe.set(self._owner, self._claim.owner, px=CLAIM_MS)

    def read(self, copy: Copy) -> CopyState | None:
        """Return the state of a copy; None if there is none."""
        with self._translated():
            found = self._redis.get(self._states[copy])
        if found is None:
            return None
        self._known[copy] = found
        return CopyState.from_document(json.loads(found)["state"])

    def _encode(self, state: CopyState) -> bytes:
        return json.dumps({"form": self._form, "state": state.to_document()}).encode()

    def begin(self, state: CopyState) -> None:
        """Begin the next copy."""
        self._known.pop("next", None)
        with self._translated():
            # First the state: without it, what a kill leaves of the rest is deleted by the next beginning.
            self._redis.delete(self._states["next"], self._refused["next"])
            leftovers = self._scan("next")
            while chunk := list(islice(leftovers, SCAN_COUNT)):
                self._redis.unlink(*chunk)
        self._write("next", state, [])

    def apply(self, copy: Copy, state: CopyState, records: Mapping[bytes, Record]) -> None:
        """Apply records, together with the state that follows."""
        id_key = (state.known_shape or BUILT_IN_SHAPE).id
        commands: list[Command] = []
        for key, record in records.items():
            commands += self._commands(copy, id_key, key, record.value)
        self._write(copy, state, commands)

    def _commands(self, copy: Copy, id_key: str, key: bytes, value: bytes | None) -> Iterator[Command]:
        """Yield what stores a user, deletes it, or deletes it and says why it cannot be stored."""
        name = self._prefixes[copy] + key
        reason = None if value is None else find_reason(id_key, key, value, self._render)
        if reason is not None:
            self._has_refused = True
            yield b"HSET", self._refused[copy], key, reason
        elif self._has_refused:
            yield b"HDEL", self._refused[copy], key
        if value is None or reason is not None:
            yield b"DEL", name
        else:
            yield from self._render(name, value)

    def _write(self, copy: Copy, state: CopyState, commands: list[Command]) -> None:
        encoded = self._encode(state)
        with self._translated(), self._redis.pipeline() as pipe:
            self._watch(pipe)
            pipe.multi()
            for command in commands:
                pipe.execute_command(*command)
            pipe.set(self._states[copy], encoded)
            self._renew(pipe)
            pipe.execute()
        self._known[copy] = encoded
        self._claim.renew()

    def publish(self, state: CopyState) -> None:
        """Put the next copy in the place of the live one."""
        encoded = self._encode(state)
        with self._translated():
            staged = list(self._scan("next"))
            skip = len(self._prefixes["next"])
            names = [self._prefixes["live"] + key[skip:] for key in staged]
            gone = set(self._scan("live")) - set(names)
            with self._redis.pipeline() as pipe:
                self._watch(pipe)
                pipe.multi()
                for key, name in zip(staged, names, strict=True):
                    pipe.execute_command(b"RENAME", key, name)
                for key in gone:
                    pipe.execute_command(b"UNLINK", key)
                for command in self._publish_refused():
                    pipe.execute_command(*command)
                pipe.set(self._states["live"], encoded)
                pipe.delete(self._states["next"])
                self._renew(pipe)
                pipe.execute()
        self._known = {"live": encoded}
        self._claim.renew()

    def _publish_refused(self) -> Iterator[Command]:
        yield b"DEL", self._refused["live"]
        yield b"COPY", self._refused["next"], self._refused["live"]
        yield b"DEL", self._refused["next"]

    def _scan(self, copy: Copy) -> Iterator[bytes]:
        pattern = re.sub(rb"([*?\[\]\\])", rb"\\\1", self._prefixes[copy]) + b"*"
        return iter(self._redis.scan_iter(match=pattern, count=SCAN_COUNT))

    def count_refused(self, copy: Copy) -> int:
        """Return how many users a copy lacks because their records cannot be stored."""
        if not self._has_refused:
            return 0
        with self._translated():
            return int(self._redis.hlen(self._refused[copy]))

    def _translated(self) -> AbstractContextManager[None]:
        return translate_errors(self.name)


def _show(owner: bytes) -> str:
    return owner.decode(errors="replace")
