"""Readers that share the users, on a real Kafka and behind a real HAProxy: every user is in one shard, none in none."""

import http.client
import json
from collections import Counter
from collections.abc import Iterator
from functools import partial
from http import HTTPStatus
from itertools import product
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote, quote_plus

import pytest

from shared.builds import BuildMark
from shared.topics import partition_of
from stack.proxy import Proxy
from stack.servers.ports import free_port
from tests.support.readers import Reader
from tests.support.system_programs import HAPROXY, require
from tests.support.topics import Topics
from tests.support.waiting import wait_for

pytestmark = pytest.mark.broker

PARTITIONS, SHARDS = 8, 2
ODD = ["a/b", "a+b", "a%2Fb", "a;b", "a&id=b", "a=b", "a?b+c", "%", "..", "zoë", "日本語", "😀", '"\\', "'", "\x7f"]
ODD += ["a b", "a\nb", "x" * 511, "+" * 511, "é" * 255 + "/", "\N{GRINNING FACE}" * 127 + "abc"]
IDS = [*ODD, *(f"user/{number}+ü" for number in range(1_000 - len(ODD)))]
UNRESERVED = "-._~!$&'()*+,;=:@"
"""What a path may hold as it is."""


def body(user: str) -> bytes:
    """Return a record's bytes, of a usual size."""
    return json.dumps({"userId": user, "description": "x" * 300}).encode()


def shard_of(user: str, shards: int = SHARDS) -> int:
    """Return the number of a user's shard."""
    return partition_of(user.encode(), PARTITIONS) % shards


def spellings(user: str) -> tuple[str, ...]:
    """Return an id in a path as it is, as far as it may be; percent-encoded; and in lower-case hex throughout."""
    return quote(user, safe=UNRESERVED), quote(user, safe=""), "".join(f"%{byte:02x}" for byte in user.encode())


class Client:
    """A connection that sends targets exactly as they are given."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def __enter__(self) -> Self:
        """Connect with the first request."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connection."""
        self._connection.close()

    def get(self, target: str) -> tuple[int, bytes]:
        """Return status and body of a response."""
        self._connection.putrequest("GET", target)
        self._connection.endheaders()
        response = self._connection.getresponse()
        return response.status, response.read()

    def get_problem(self, target: str) -> tuple[int, dict[str, Any]]:
        """Return status and document of a response."""
        status, content = self.get(target)
        return status, json.loads(content)


@pytest.fixture
def topics(kafka: str) -> Topics:
    """Give a user-info topic of this test's own."""
    made = Topics(kafka)
    made.create("user-info", partitions=PARTITIONS)
    return made


@pytest.fixture
def shards(topics: Topics, tmp_path: Path) -> Iterator[list[Reader]]:
    """Give a reader of each shard, not started, the second with two workers."""
    made = [
        Reader(
            topics.settings(),
            tmp_path / f"reader-{number}",
            READER_SHARD=f"{number}/{SHARDS}",
            READER_WORKERS=str(number + 1),
        )
        for number in range(SHARDS)
    ]
    yield made
    for reader in made:
        reader.kill()


@pytest.fixture
def proxy(shards: list[Reader], tmp_path: Path) -> Iterator[Proxy]:
    """Give HAProxy in front of them."""
    addresses = [[f"127.0.0.1:{reader.port}"] for reader in shards]
    made = Proxy(require(HAPROXY), tmp_path / "proxy", free_port(), PARTITIONS, addresses)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def client(proxy: Proxy) -> Iterator[Client]:
    """Give a connection to the proxy."""
    with Client(proxy.port) as made:
        yield made


def write_users(topics: Topics) -> None:
    """Write every user once."""
    for user in IDS:
        topics.send("user-info", user.encode(), body(user))
    topics.flush()


def start(shards: list[Reader], client: Client) -> None:
    """Start the readers, and wait until the proxy sends requests to each of them."""
    for reader in shards:
        reader.start()
    for reader in shards:
        reader.await_state("ready", 60)
    for number in range(SHARDS):
        user = next(user for user in IDS if shard_of(user) == number)
        wait_for(partial(is_served, client, user), 60, f"shard {number} behind the proxy")


def is_served(client: Client, user: str) -> bool:
    """Say whether a user's record is answered."""
    return client.get(f"/users/{quote(user, safe='')}") == (HTTPStatus.OK, body(user))


def test_every_spelling_of_an_id_reaches_the_users_shard(topics: Topics, shards: list[Reader], client: Client) -> None:
    """1,000 ids in three spellings and as a query: none wrong; each reader holds its share, and refuses the rest."""
    write_users(topics)
    start(shards, client)
    assert 511 == max(len(user.encode()) for user in IDS)
    for user in IDS:
        assert [(200, body(user))] * 3 == [client.get(f"/users/{spelled}") for spelled in spellings(user)], user
        status, found = client.get_problem(f"/users?id={quote_plus(user)}")
        assert (200, json.loads(body(user))) == (status, found["users"][0]), user
    assert {404} == {client.get(f"/users/nobody{number}")[0] for number in range(20)}
    assert [200, 200, 400] == [client.get(target)[0] for target in ("/", "/openapi.json", "/users")]

    # Asked directly, each reader answers for its own and names the shard of all others, in reads and streams alike.
    for number, reader in enumerate(shards):
        others = [user for user in [*ODD, "nobody1", "nobody2", "nobody3"] if shard_of(user) != number]
        with Client(reader.port) as direct:
            for user, path in product(others, ("", "/events")):
                status, problem = direct.get_problem(f"/users/{quote(user, safe='')}{path}")
                assert (421, {f"{shard_of(user)}/2": [user]}) == (status, problem["elsewhere"])
        held = Counter(map(shard_of, IDS))[number]
        assert held == reader.metric("reader_store_records")
        partitions = [partition for partition in range(PARTITIONS) if partition % SHARDS == number]
        assert partitions == sorted(int(partition) for partition in read_summary(reader)["offsets"])

    # What they hold on disk is one share each: together one whole copy, and neither more than its part of it.
    sizes = [read_summary(reader)["bytesInUse"] for reader in shards]
    shares = [Counter(map(shard_of, IDS))[number] / len(IDS) for number in range(SHARDS)]
    assert all(abs(size / sum(sizes) - share) < 0.05 for size, share in zip(sizes, shares, strict=True)), sizes
    assert ["", ""] == [reader.run("verify").stderr for reader in shards]


def read_summary(reader: Reader) -> dict[str, Any]:
    """Return what `inspect` says of a reader's copy."""
    found: dict[str, Any] = json.loads(reader.run("inspect").stdout)
    return found


def test_a_shard_without_readers_is_missed_by_its_own_users_alone(
    topics: Topics, shards: list[Reader], client: Client
) -> None:
    """They get 503, and nobody else does; a batch over shards is refused with names to group by."""
    write_users(topics)
    start(shards, client)
    asked = ODD[:14]
    query = "/users?" + "&".join(f"id={quote_plus(user)}" for user in asked)
    status, problem = client.get_problem(query)
    elsewhere = 1 - shard_of(asked[0])
    assert (421, f"{shard_of(asked[0])}/2") == (status, problem["shard"]) or shard_of(asked[-1]) == elsewhere
    ((name, others),) = problem["elsewhere"].items()
    assert [user for user in asked if f"{shard_of(user)}/2" == name] == others
    for group in (others, [user for user in asked if user not in others]):
        status, found = client.get_problem("/users?" + "&".join(f"id={quote_plus(user)}" for user in group))
        assert (200, group) == (status, [record["userId"] for record in found["users"]])

    shards[1].kill()
    for user in IDS[:200]:
        status, content = client.get(f"/users/{quote(user, safe='')}")
        assert (503 if shard_of(user) else 200) == status, user
        assert shard_of(user) or body(user) == content
    assert 200 == client.get("/proxyz")[0]
    shards[1].start()
    user = next(user for user in IDS if shard_of(user))
    wait_for(partial(is_served, client, user), 60, "the shard's return")


def test_a_reader_of_another_number_of_shards_rebuilds_beside_its_data(
    topics: Topics, shards: list[Reader], tmp_path: Path
) -> None:
    """It gets no traffic until it holds the new shard, and keeps nothing of the old; it takes no snapshot of one."""
    write_users(topics)
    reader, other = shards
    reader.start_and_wait()
    assert 0 == reader.run("snapshot", str(tmp_path / "snapshot")).returncode
    other.environment["READER_SNAPSHOT"] = str(tmp_path / "snapshot")
    other.start_and_wait()
    assert "is refused: the data is of shard 0/2, and READER_SHARD asks for shard 1/2" in other.log()
    assert Counter(map(shard_of, IDS))[1] == other.metric("reader_store_records")

    reader.kill()
    servers = reader.environment["KAFKA_BOOTSTRAP_SERVERS"]
    reader.environment |= {"READER_SHARD": "2/4", "KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{free_port()}"}
    reader.start()
    user = next(user for user in IDS[-500:] if shard_of(user, 4) == 0)
    path = f"/users/{quote(user, safe='')}"
    wait_for(lambda: reader.state() and reader.get(path).status_code == HTTPStatus.OK, 60, "the old data")
    assert (503, "replaying") == (reader.get("/readyz").status_code, reader.state()["state"])
    reader.kill()
    reader.environment["KAFKA_BOOTSTRAP_SERVERS"] = servers
    reader.start_and_wait()
    assert (421, "2/4", {"0/4": [user]}) == read_misdirection(reader, path)
    assert Counter(shard_of(user, 4) for user in IDS)[2] == reader.metric("reader_store_records")
    assert ["copy-2"] == [copy.name for copy in reader.folder.glob("copy-*")]
    inspected = reader.run("inspect", user)
    assert (1, True) == (inspected.returncode, "this user is in shard 0/4" in inspected.stderr)


def read_misdirection(reader: Reader, path: str) -> tuple[int, object, object]:
    """Return status, the reader's shard and the users of others, as a response says them."""
    response = reader.get(path)
    return response.status_code, response.json()["shard"], response.json()["elsewhere"]


def test_more_shards_than_partitions_are_refused(topics: Topics, shards: list[Reader]) -> None:
    """The topic says how many there can be; until then the reader answers nothing."""
    write_users(topics)
    shards[0].environment["READER_SHARD"] = "0/9"
    said = shards[0].start().await_state("failed", 60)
    assert "READER_SHARD=0/9 names more shards than the topic has partitions, which is 8" in str(said["reason"])
    assert {503} == {shards[0].get(path).status_code for path in ("/readyz", "/users/a")}


def test_records_that_another_partitioner_has_placed_are_no_shard(topics: Topics, shards: list[Reader]) -> None:
    """The user might be in any partition, so a share of the partitions must not call one unknown."""
    topics.send("user-info", b"alice", body("alice"), (partition_of(b"alice", PARTITIONS) + 1) % PARTITIONS)
    topics.flush()
    reader = shards[(partition_of(b"alice", PARTITIONS) + 1) % SHARDS]
    said = reader.start().await_state("failed", 60)
    assert "a shard of the partitions is no shard of the users" in str(said["reason"])
    assert {503} == {reader.get(path).status_code for path in ("/readyz", "/users/alice", "/users/bob")}


def test_a_shard_waits_for_its_own_partitions_alone(topics: Topics, shards: list[Reader]) -> None:
    """Where a build has finished one shard's users and not the other's, each reader says so of its own."""
    write_users(topics)
    for part in range(PARTITIONS):
        mark = BuildMark(part, PARTITIONS, "b1", whole=part % SHARDS == 0, percent=50.0)
        topics.send("user-info", mark.key, mark.value, part)
    topics.flush()
    for reader, state in zip(shards, ("ready", "building"), strict=True):
        reader.start().await_state(state, 60)
    statuses = {
        reader: {reader.get(f"/users/{quote(user, safe='')}").status_code for user in IDS[100:140]} for reader in shards
    }
    assert [{200, 421}, {503}] == [statuses[reader] for reader in shards]
