"""What a client of a real reader sees: the record behind a response, revalidation, refusals."""

import json
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from confluent_kafka import Producer
from prometheus_client.parser import text_string_to_metric_families

from tests.support.readers import Reader
from tests.support.topics import Topics
from tests.support.waiting import wait_for

pytestmark = pytest.mark.broker

ALICE = json.dumps({"userId": "alice", "likeCount": 1}).encode()
BOB = json.dumps({"userId": "bob", "likeCount": 2}).encode()


@pytest.fixture
def topics(kafka: str) -> Topics:
    """Give a user-info topic of this test's own, with one partition."""
    made = Topics(kafka)
    made.create("user-info", partitions=1)
    return made


@pytest.fixture
def reader(topics: Topics, tmp_path: Path) -> Iterator[Reader]:
    """Give a reader that is ready; it holds alice at offset 0 and bob at offset 1."""
    topics.send("user-info", b"alice", ALICE)
    topics.send("user-info", b"bob", BOB)
    topics.flush()
    with Reader(topics.settings(), tmp_path / "reader") as made:
        made.wait_until_ready()
        yield made


@pytest.fixture
def client(reader: Reader) -> Iterator[httpx.Client]:
    """Give a client of the reader."""
    with httpx.Client(base_url=reader.url) as made:
        yield made


def test_a_response_names_its_record_in_the_topic(client: httpx.Client, topics: Topics) -> None:
    """Partition, offset and time of the record are Kafka's; the reader is less than a second behind."""
    answer = client.get("/users/bob")
    (record,) = [message for message in topics.messages("user-info") if message.key() == b"bob"]
    assert (200, BOB) == (answer.status_code, answer.content)
    assert f"{record.partition()}:{record.offset()}" == answer.headers["user-info-offset"]
    assert answer.headers["user-info-source-time-ms"] == str(record.timestamp()[1])
    wait_for(lambda: 0 <= float(client.get("/users/bob").headers["user-info-behind-seconds"]) < 1)
    assert "no-cache" == answer.headers["cache-control"]


def test_a_client_revalidates_what_it_has(client: httpx.Client, topics: Topics) -> None:
    """A tag is answered 304 until the record is replaced, and 200 from then on."""
    tag = client.get("/users/alice").headers["etag"]
    assert 304 == client.get("/users/alice", headers={"if-none-match": tag}).status_code
    topics.send("user-info", b"alice", BOB)
    topics.flush()
    wait_for(lambda: client.get("/users/alice", headers={"if-none-match": tag}).status_code == 200)
    assert client.get("/users/alice").headers["etag"] != tag


def test_readers_at_rest_agree_up_to_where_an_absence_is_true(
    kafka: str, topics: Topics, reader: Reader, tmp_path: Path
) -> None:
    """Behind markers of transactions, committed or aborted, which are no records: none waits for ever for another."""
    producer = Producer({"bootstrap.servers": kafka, "transactional.id": topics.name("writer")})
    producer.init_transactions()
    for value, end in ((None, producer.commit_transaction), (BOB, producer.abort_transaction)):
        producer.begin_transaction()
        producer.produce(topics.name("user-info"), value, b"bob")
        producer.flush()
        end()
    with Reader(topics.settings(), tmp_path / "another") as another:
        another.wait_until_ready()
        wait_for(lambda: reader.get("/users/bob").status_code == 404)
        for one, other in ((reader, another), (another, reader)):

            def is_met(one: Reader = one, other: Reader = other) -> bool:
                stated = one.get("/users/bob").headers["user-info-offset"]
                with httpx.Client(base_url=other.url) as client:
                    answers = [
                        client.get(path, headers={"if-min-offset": stated}) for path in ("/users/bob", "/users?id=bob")
                    ]
                return [stated] * 2 == [answer.headers.get("user-info-offset") for answer in answers]

            wait_for(is_met, 10, "the same offset of both")
        assert "0:5" == reader.get("/users/bob").headers["user-info-offset"]


def test_a_client_asks_for_an_offset_seen_elsewhere(client: httpx.Client, topics: Topics) -> None:
    """An offset that has not been read yet is answered 503 at once, and 200 as soon as it has been read."""
    assert 200 == client.get("/users/alice", headers={"if-min-offset": "0:1"}).status_code
    early = client.get("/users/alice", headers={"if-min-offset": "0:2"})
    assert (503, "1") == (early.status_code, early.headers["retry-after"])
    assert 400 == client.get("/users/alice", headers={"if-min-offset": "now"}).status_code
    topics.send("user-info", b"carol", b"{}")
    topics.flush()
    wait_for(lambda: client.get("/users/carol", headers={"if-min-offset": "0:2"}).status_code == 200)


def test_an_unknown_user_and_an_unknown_route_differ(client: httpx.Client) -> None:
    """Both are 404, as problem documents of different types."""
    user, route = client.get("/users/nobody"), client.get("/user/alice")
    assert (404, 404) == (user.status_code, route.status_code)
    assert "urn:user-info:problem:unknown-user" == user.json()["type"]
    assert "urn:user-info:problem:unknown-route" == route.json()["type"]
    assert {"application/problem+json"} == {user.headers["content-type"], route.headers["content-type"]}


def test_users_are_read_only(client: httpx.Client) -> None:
    """Anything but GET and HEAD is 405 and says what is allowed; HEAD is GET without the body."""
    for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
        refused = client.request(method, "/users/alice")
        assert (405, "GET, HEAD") == (refused.status_code, refused.headers["allow"])
    head = client.head("/users/alice")
    assert (200, str(len(ALICE)), b"") == (head.status_code, head.headers["content-length"], head.content)


def test_several_users_are_read_at_once(client: httpx.Client) -> None:
    """Found records in the order asked for, and the ids of the others."""
    answer = client.get("/users", params={"id": ["bob", "nobody", "alice"]})
    assert {"users": [json.loads(BOB), json.loads(ALICE)], "missing": ["nobody"]} == answer.json()
    assert "0:1" == answer.headers["user-info-offset"]
    assert 400 == client.get("/users", params={"id": [str(number) for number in range(101)]}).status_code


def test_metrics_show_what_was_applied_and_the_lag(client: httpx.Client) -> None:
    """Records, bytes, batches, lag by partition, the copy's size and readiness are those of this reader."""
    client.get("/users/alice")
    families = text_string_to_metric_families(client.get("/metrics").text)
    found = {(sample.name, *sample.labels.values()): sample.value for family in families for sample in family.samples}
    assert (2.0, 2.0) == (found["reader_applied_records_total",], found["reader_store_records",])
    assert len(b"alice" + ALICE + b"bob" + BOB) == found["reader_applied_bytes_total",]
    assert found["reader_batch_seconds_count",] >= 1
    assert 0 == found["reader_lag_records", "0"]
    assert 0 <= found["reader_lag_seconds", "0"] < 30
    assert found["reader_store_bytes",] > 0
    assert found["reader_disk_free_bytes",] > 0
    assert (1.0, 1.0) == (found["reader_ready",], found["reader_state", "ready"])
    assert found["reader_event_loop_delay_seconds_count",] > 0


def test_a_stopped_reader_ends_whatever_its_clients_do(reader: Reader) -> None:
    """Clients that are silent, in the middle of a request, or do not read keep it for less than 5 s."""
    sent = (b"", b"GET /users/al", b"GET /users/alice HTTP/1.1\r\nHost: here\r\n\r\n" * 50_000)
    connections = [socket.create_connection(("127.0.0.1", reader.port)) for _ in sent]
    try:
        for connection, said in zip(connections, sent, strict=True):
            connection.setblocking(False)
            connection.send(said)
        reader.signal(signal.SIGTERM)
        assert 0 == reader.wait(5)
        assert "stopped" in reader.log()
    finally:
        for connection in connections:
            connection.close()
