"""Another resource than users: its paths, its words, its description; and the description follows the topic."""

import json
import re

import httpx
import pytest
from jsonschema import Draft202012Validator

from reader.http import events_route, static_routes
from reader.http.events import EventStreams
from reader.http.openapi import build_document
from reader.http.resource import USERS, Resource
from reader.http.updates import NOTHING_KNOWN
from reader.settings import ReaderSettings
from reader.storage.read_view import StoredRecord
from shared.errors import SettingError
from shared.settings import read_settings
from shared.shape import BUILT_IN_SHAPE, FieldShape, Shape, SumShape
from tests.support.http import LATEST, LocalServer
from tests.support.read_views import DictReadView

CUSTOMERS = Resource("customers")
RECORDS = {b"42": StoredRecord(0, 7, 0, b'{"customerId":"42"}')}
SHAPE = Shape(
    "customers",
    "customerId",
    (FieldShape("born", "date"), FieldShape("seen", "timestamp-micros"), FieldShape("more", "json")),
    ("orderCount",),
    (SumShape("points"), SumShape("spent", 2)),
)
RECORD = {
    "customerId": "42",
    "born": None,
    "seen": "2009-01-14T02:04:36.000000Z",
    "more": [1],
    "orderCount": 0,
    "points": -(10**30),
    "spent": "-0.50",
}


def test_every_path_and_word_follows_the_resource() -> None:
    """One record, several, events and what is unknown; `/users` is a path like any other that is not there."""
    streams = EventStreams(lambda: DictReadView(RECORDS), lambda: LATEST, resource=CUSTOMERS)
    routes = [*events_route.build_routes(streams), *static_routes.build_routes(CUSTOMERS)]
    with LocalServer(RECORDS, routes=routes, resource=CUSTOMERS) as serving:
        calls = serving.application.calls
        with httpx.Client(base_url=f"http://127.0.0.1:{serving.port}") as client:
            found, absent = client.get("/customers/42"), client.get("/customers/43")
            assert calls == serving.application.calls, "both took the fast path"
            several = client.get("/customers?id=42&id=43")
            no_ids, users, a_user = client.get("/customers"), client.get("/users?id=42"), client.get("/users/42")
            described = client.get("/openapi.json").json()
    assert (200, {"customerId": "42"}) == (found.status_code, found.json())
    assert (404, "no such record", "no record has this id") == (absent.status_code, *titled(absent))
    assert {"customers": [{"customerId": "42"}], "missing": ["43"]} == several.json()
    assert "ask for customers by id, such as /customers?id=1&id=2" == no_ids.json()["detail"]
    for refused, path in ((users, "/users"), (a_user, "/users/42")):
        assert (404, "no such route") == (refused.status_code, refused.json()["title"])
        assert f"there is nothing at {path}; try /customers/{{userId}}" == refused.json()["detail"]
    assert {"/customers", "/customers/{userId}", "/customers/{userId}/events"} < set(described["paths"])
    said = re.findall(r'"(?:description|summary)": "([^"]*)', json.dumps(described))
    assert [] == [text for text in said if re.search(r"\buser(?!-info)", text)]


def titled(response: httpx.Response) -> tuple[str, str]:
    """Return a problem's words."""
    return response.json()["title"], response.json()["detail"]


def test_an_event_of_absence_says_what_a_read_would() -> None:
    """In the resource's words."""
    streams = EventStreams(lambda: DictReadView({}), lambda: LATEST, resource=CUSTOMERS)
    with LocalServer({}, routes=events_route.build_routes(streams), resource=CUSTOMERS) as serving:
        with httpx.Client(base_url=f"http://127.0.0.1:{serving.port}") as client:
            read = client.get("/customers/42").text
        reply = streams.encode_current(b"42", NOTHING_KNOWN)
    assert f"event: absent\ndata: {read}\n" in reply.decode()


@pytest.mark.parametrize("name", ["readyz", "livez", "metrics", "missing", "Users", "a/b", "-a", "ä", "a" * 101])
def test_a_name_that_cannot_be_a_resource_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that have a meaning of their own, and those that would not be themselves in a path."""
    monkeypatch.setenv("READER_RESOURCE", name)
    with pytest.raises(SettingError, match="READER_RESOURCE"):
        read_settings(ReaderSettings)


def test_the_description_follows_the_topic_without_a_restart() -> None:
    """It holds for records of the shape that the topic says at that moment, and has a new ETag with it."""
    said: list[bytes | None] = [None]
    with LocalServer({}, routes=static_routes.build_routes(CUSTOMERS, lambda: said[0])) as serving:
        url = f"http://127.0.0.1:{serving.port}/openapi.json"
        before = httpx.get(url)
        said[0] = SHAPE.encode()
        after = httpx.get(url, headers={"if-none-match": before.headers["etag"]})
        again = httpx.get(url, headers={"if-none-match": after.headers["etag"]})
    assert build_document(CUSTOMERS) == before.json()
    assert (200, 304) == (after.status_code, again.status_code)
    record = after.json()["components"]["schemas"]["Record"]
    assert list(RECORD) == list(record["properties"]) == record["required"]


def test_a_records_schema_takes_its_records_and_no_others() -> None:
    """Each type, and each value that is just outside of it."""
    schema = Draft202012Validator(build_document(CUSTOMERS, SHAPE)["components"]["schemas"]["Record"])
    schema.validate(RECORD)
    for key, value in (("orderCount", -1), ("spent", "0.5"), ("spent", 0.5), ("points", 0.5), ("born", 14), ("x", 1)):
        assert not schema.is_valid({**RECORD, key: value}), key
    assert not schema.is_valid({key: value for key, value in RECORD.items() if key != "seen"})


def test_a_topic_without_a_shape_may_hold_anything_under_other_keys() -> None:
    """Nothing is known of it: the built-in view's keys keep their meaning, and none of them need be there."""
    schema = Draft202012Validator(build_document(USERS)["components"]["schemas"]["Record"])
    assert schema.is_valid({"userId": "1", "petName": ["Rex"]})
    assert not schema.is_valid({"userId": "1", "likeCount": -1})
    built_in = Draft202012Validator(build_document(USERS, BUILT_IN_SHAPE)["components"]["schemas"]["Record"])
    assert not built_in.is_valid({"userId": "1", "petName": ["Rex"]})
