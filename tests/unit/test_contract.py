"""The names that other programs use: none may change.

A new name is listed in `ADDITIONS`. A response that gains a header gets a new value in `GROWN`, or in its
lines of `ADDITIONS`.

`contract.json` was collected from the version that deployments, dashboards and clients were first built against.
"""

import json
import re
from pathlib import Path

import pytest

from tests.support.contract import collect

CONTRACT: dict[str, list[str]] = json.loads(Path(__file__).with_name("contract.json").read_text())

ADDITIONS: dict[str, list[str]] = {
    "HTTP replies": [
        "ready, no user since an offset: 404 Not Found [cache-control connection content-length content-type date"
        " user-info-behind-seconds user-info-offset user-info-topic] urn:user-info:problem:unknown-user 'no such user'",
        "ready, an offset of another topic: 503 Service Unavailable [connection content-length content-type date"
        " retry-after] urn:user-info:problem:other-topic 'another topic'",
        "replaying, an offset of another topic: 503 Service Unavailable [connection content-length content-type date"
        " retry-after] urn:user-info:problem:not-ready 'not ready'",
        "ready, a URL: 200 OK [connection content-length content-type date] state",
        "ready, no target: 405 Method Not Allowed [allow connection content-length content-type date]"
        " urn:user-info:problem:method-not-allowed 'method not allowed'",
        "replaying, a URL: 200 OK [connection content-length content-type date] state",
        "replaying, no target: 405 Method Not Allowed [allow connection content-length content-type date]"
        " urn:user-info:problem:method-not-allowed 'method not allowed'",
    ],
    "HTTP routes": [
        "/users 421 [] application/problem+json",
        "/users/{userId} 421 [] application/problem+json",
        "/users/{userId}/events 421 [] application/problem+json",
        "problem urn:user-info:problem:other-shard",
        "problem urn:user-info:problem:other-topic",
        "schema Problem elsewhere",
        "schema Problem shard",
    ],
    "problems": ["503 urn:user-info:problem:other-topic 'another topic'"],
    "events": ["id: 3:1042:0badcafe event: absent"],
    "commands": [
        "python -m bench joiner throughput --wide <boolean> is_flag = False",
        "python -m bench build",
        "python -m bench build again",
        "python -m bench build again --rate <float> = 200.0",
        "python -m bench build again --rows <integer> = 20000",
        "python -m bench build again --runs <integer> = 20",
        "python -m bench build again --seed <integer>",
        "python -m bench build first",
        "python -m bench build first --form <undisturbed|kills|second|both>"
        " multiple = ('undisturbed', 'kills', 'second', 'both')",
        "python -m bench build first --kills <integer> = 5",
        "python -m bench build first --rows <integer> = 1000000",
        "python -m bench build pass",
        "python -m bench build pass --rate <integer> = 200",
        "python -m bench build pass --users <integer> = 1000000",
        "python -m bench joiner queries",
        "python -m bench joiner queries --rate <integer> = 1000",
        "python -m bench joiner queries --requests <integer> multiple = (0, 200, 1000)",
        "python -m bench joiner queries --rows <integer> = 1000000",
        "python -m bench joiner queries --seconds <float> = 20.0",
        "python -m bench joiner throughput --format <json|avro> = json",
        "python -m bench sink",
        "python -m bench sink --kills <integer> = 3",
        "python -m bench sink --output <path>",
        "python -m bench sink --records <integer> = 100000",
        "python -m bench charts",
        "python -m bench pages",
        "python -m bench pages --reads <integer> = 500",
        "python -m bench pages --records <integer> = 1000000",
        "python -m bench poller",
        "python -m bench poller --rows <integer range> = 1000000",
        "python -m bench poller --seconds <integer range> = 30",
        "python -m poller",
        "python -m poller sql",
        "python -m bench charts --output <directory> = docs/charts",
        "python -m bench charts --results <directory> = docs/results",
        "python -m doctor",
        "python -m bench shards",
        "python -m bench shards --output <directory> = .local/bench",
        "python -m bench shards --rate <float> = 1000.0",
        "python -m bench shards --seconds <float> = 20.0",
        "python -m bench shards --shards <integer> = 2",
        "python -m bench shards --users <integer> = 1000000",
        "python -m stack run --shards <integer range> = 1",
        "python -m doctor --connector <text> multiple = ['http://127.0.0.1:8083/connectors/user-info']",
        "python -m doctor --joiner <text> multiple = ['http://127.0.0.1:8001']",
        "python -m doctor --rows <boolean> is_flag = False",
        "python -m stack doctor --rows <boolean> is_flag = False",
        "python -m doctor --reader <text> multiple = ['http://127.0.0.1:8000']",
        "python -m joiner view",
        "python -m joiner view --check <boolean> is_flag = False",
        "python -m joiner view --dialect <postgresql|sqlite> = postgresql",
        "python -m joiner view --sql <boolean> is_flag = False",
        "python -m sink",
        "python -m sink postgres",
        "python -m sink redis",
    ],
    "environment variables": [
        "doctor SCHEMA_REGISTRY_BASIC_AUTH=None",
        "doctor SCHEMA_REGISTRY_CA_LOCATION=None",
        "doctor SCHEMA_REGISTRY_PATIENCE_SECONDS=30",
        "doctor SCHEMA_REGISTRY_URL=None",
        "joiner SCHEMA_REGISTRY_BASIC_AUTH=None",
        "joiner SCHEMA_REGISTRY_CA_LOCATION=None",
        "joiner SCHEMA_REGISTRY_PATIENCE_SECONDS=30",
        "joiner SCHEMA_REGISTRY_URL=None",
        "stack STACK_FORMAT=json",
        "stack STACK_REGISTRY_PORT=8081",
        "stack run STACK_FORMAT=json",
        "stack run STACK_REGISTRY_PORT=8081",
        "reader READER_RESOURCE=users",
        "reader READER_SHARD=None",
        "stack STACK_EXAMPLE=None",
        "stack run STACK_EXAMPLE=None",
        "doctor USER_INFO_VIEW=None",
        "joiner UNAVAILABLE_VALUE=__debezium_unavailable_value",
        "joiner USER_INFO_VIEW=None",
        *(
            f"poller {name}"
            for name in (
                "FOLLOWS_TOPIC=follows",
                "HEARTBEATS_TOPIC=None",
                "KAFKA_BOOTSTRAP_SERVERS=127.0.0.1:9092",
                "LIKES_TOPIC=likes",
                "LOG_FORMAT=text",
                "LOG_LEVEL=INFO",
                "POLLER_COMPARE_SECONDS=5",
                "POLLER_DELETED_WHERE={}",
                "POLLER_HTTP_HOST=127.0.0.1",
                "POLLER_HTTP_PORT=8004",
                "POLLER_INTERVAL_SECONDS=0.5",
                "POLLER_NAME=user-info-poller",
                "POLLER_PARTITIONS=4",
                "POLLER_POSTGRES_DSN=host=127.0.0.1 dbname=app user=postgres",
                "POLLER_STATE_DIR=.local/poller",
                "TOPIC_REPLICATION_FACTOR=None",
                "TWEETS_TOPIC=tweets",
                "USERS_TOPIC=users",
                "USER_INFO_TOPIC=user-info",
                "USER_INFO_VIEW=None",
            )
        ),
        "joiner JOINER_ADVERTISED_URL=None",
        "joiner JOINER_SERVES_USERS=False",
        "stack STACK_CAPTURE=debezium",
        "stack run POLLER_HTTP_PORT=8004",
        "stack run STACK_CAPTURE=debezium",
        *(
            f"sink {store} {setting}"
            for store in ("postgres", "redis")
            for setting in (
                "KAFKA_BOOTSTRAP_SERVERS=127.0.0.1:9092",
                "LOG_FORMAT=text",
                "LOG_LEVEL=INFO",
                "SINK_HTTP_HOST=127.0.0.1",
                "SINK_HTTP_PORT=8002",
                "USER_INFO_TOPIC=user-info",
            )
        ),
        "sink postgres SINK_POSTGRES_DSN=None",
        "sink postgres SINK_POSTGRES_TABLE=user_information",
        "sink redis SINK_REDIS_FORM=hash",
        "sink redis SINK_REDIS_PREFIX=user:",
        "sink redis SINK_REDIS_URL=None",
    ],
    "metrics": [
        "reader reader_state state=building",
        "reader reader_build_percent{} gauge",
        "reader reader_shards{of,shard} gauge",
        "joiner joiner_waits_for_schema{}",
        "joiner joiner_served_partitions{}",
        "joiner joiner_user_responses_created{status}",
        "joiner joiner_user_responses_total{status}",
        "joiner joiner_user_responses{status}",
        "joiner joiner_new_epochs_total{}",
        "joiner joiner_new_epochs_created{}",
        "joiner joiner_new_epochs{}",
        *(f"sink sink_batch_seconds{end}{{}}" for end in ("", "_bucket", "_count", "_created", "_sum")),
        *(
            f"sink sink_{name}{end}{{}}"
            for name in ("records", "skipped_records")
            for end in ("", "_created", "_total")
        ),
        *(
            f"sink sink_{name}{{}}"
            for name in ("behind_seconds", "heartbeat_age_seconds", "lag_records", "ready", "refused_users")
        ),
    ],
    "alerts": [
        "alert PollerStandsStill promise=freshness severity=page",
        "alert ShardWithoutReadyReader promise=reads severity=page",
        "alert SinkBehind promise=freshness severity=ticket",
        "alert SinkNotReady promise=freshness severity=ticket",
        "alert SinkRefusesUsers severity=ticket",
    ],
    "dead letters": [
        "reason bad-avro",
        "reason bad-schema",
        "reason bad-value",
        "reason no-schema-registry",
        "reason unknown-schema",
    ],
    "records": [
        'shape b\'\\xffshape\' b\'{"table": "users", "id": "userId", "fields": ['
        + ", ".join(
            f'{{"key": "{key}", "type": "text", "scale": 0}}'
            for key in (
                "username",
                "name",
                "description",
                "location",
                "webPageUrl",
                "joinedDate",
                "profileImageUrl",
                "backgroundImageUrl",
            )
        )
        + '], "counts": ["tweetCount", "followingCount", "followerCount", "likeCount"], "sums": []}\'',
        'mark b\'\\xffbuild/1/2\' b\'{"build": "b1", "whole": false, "percent": null, "secondsLeft": null,'
        ' "waitsFor": null}\'',
    ],
    "files": [
        'LMDB meta b\'shape\' b\'{"table": "users", "id": "userId", "fields": [], "counts": [], "sums": []}\'',
        'LMDB meta b\'build/3/\\xffbuild/1/2\' b\'{"build": "b1", "whole": true, "percent": null, "secondsLeft": null,'
        ' "waitsFor": null}\'',
    ],
    "state": [
        "ledger key b'key-forms'",
        """ledger key b'key-form ["users", "text"]'""",
        "ledger key b'serves 3'",
        'joiner\'s claim b\'{"instance": "0", "url": "http://joiner-0:8001"}\'',
        """chain b'[["likes/3",1042,""]]' b'[7,false,{"likes/3":["",1042]}]'""",
        "header chain of a change",
        "state key b'\\xffchains'",
        "state key b'\\xffsent'",
    ],
}
"""What was added since, by kind."""

TOPIC = "User-Info-Topic"

GROWN: dict[str, str] = {
    "/users 200 [Cache-Control User-Info-Behind-Seconds User-Info-Offset] application/json": (
        f"/users 200 [Cache-Control User-Info-Behind-Seconds User-Info-Offset {TOPIC}] application/json"
    ),
    "/users/{userId} 200 [Cache-Control ETag User-Info-Behind-Seconds User-Info-Offset User-Info-Source-Time-Ms]"
    " application/json": (
        "/users/{userId} 200 [Cache-Control ETag User-Info-Behind-Seconds User-Info-Offset User-Info-Source-Time-Ms"
        f" {TOPIC}] application/json"
    ),
    "/users/{userId} 304 [Cache-Control ETag User-Info-Behind-Seconds User-Info-Offset User-Info-Source-Time-Ms]": (
        "/users/{userId} 304 [Cache-Control ETag User-Info-Behind-Seconds User-Info-Offset User-Info-Source-Time-Ms"
        f" {TOPIC}]"
    ),
    "/users/{userId} 404 [] application/problem+json": (
        f"/users/{{userId}} 404 [Cache-Control User-Info-Behind-Seconds User-Info-Offset {TOPIC}]"
        " application/problem+json"
    ),
    "ready, a user not modified: 304 Not Modified [cache-control connection date etag user-info-behind-seconds"
    " user-info-offset user-info-source-time-ms]": (
        "ready, a user not modified: 304 Not Modified [cache-control connection date etag user-info-behind-seconds"
        " user-info-offset user-info-source-time-ms user-info-topic]"
    ),
    "ready, a user: 200 OK [cache-control connection content-length content-type date etag user-info-behind-seconds"
    " user-info-offset user-info-source-time-ms] userId": (
        "ready, a user: 200 OK [cache-control connection content-length content-type date etag user-info-behind-seconds"
        " user-info-offset user-info-source-time-ms user-info-topic] userId"
    ),
    "ready, no user: 404 Not Found [cache-control connection content-length content-type date user-info-behind-seconds]"
    " urn:user-info:problem:unknown-user 'no such user'": (
        "ready, no user: 404 Not Found [cache-control connection content-length content-type date"
        " user-info-behind-seconds user-info-topic] urn:user-info:problem:unknown-user 'no such user'"
    ),
    "ready, users: 200 OK [cache-control connection content-length content-type date user-info-behind-seconds"
    " user-info-offset] users missing": (
        "ready, users: 200 OK [cache-control connection content-length content-type date user-info-behind-seconds"
        " user-info-offset user-info-topic] users missing"
    ),
}
"""Replies that are described with more header fields than before: what was known -> what is."""


@pytest.fixture(scope="module")
def collected() -> dict[str, list[str]]:
    """Give the names as the code has them now."""
    return collect()


def test_every_kind_of_name_is_compared(collected: dict[str, list[str]]) -> None:
    """No list is empty, and none is left out."""
    assert list(CONTRACT) == list(collected)
    assert ADDITIONS.keys() <= CONTRACT.keys()
    assert all(CONTRACT.values())


def test_what_has_grown_has_lost_nothing() -> None:
    """A reply has all the header fields that it had."""
    assert {*GROWN} <= {name for names in CONTRACT.values() for name in names}
    for before, now in GROWN.items():
        assert {*re.findall(r"[\w/{}+-]+", before)} <= {*re.findall(r"[\w/{}+-]+", now)}


@pytest.mark.parametrize("kind", CONTRACT)
def test_no_name_changes_and_each_addition_is_listed(kind: str, collected: dict[str, list[str]]) -> None:
    """A variable, topic, header, metric, alert, problem, command, event or stored key keeps its name."""
    known = {*(GROWN.get(name, name) for name in CONTRACT[kind]), *ADDITIONS.get(kind, [])}
    assert ([], []) == (sorted(known - set(collected[kind])), sorted(set(collected[kind]) - known))
