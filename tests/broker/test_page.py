"""The page in a real browser: what a person sees of a real reader, before it is ready and after."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from reader.http import static_routes
from replication.readiness import Readiness
from shared.records import PROFILE_COLUMNS
from tests.support.browsers import PHONE, Browser, browser
from tests.support.http import LocalServer
from tests.support.readers import Reader
from tests.support.topics import Topics

pytestmark = pytest.mark.broker

PROFILE = {
    "username": "chloe",
    "name": "Chloé Tremblay",
    "description": "ferns, salsa, bicycles, tea and maps",
    "location": "Québec",
    "webPageUrl": "https://chloe.example/garden",
    "joinedDate": "2009-01-14T02:04:36.000000Z",
}


def record(user: str, likes: int, **profile: str) -> bytes:
    """Return a user's record."""
    counts = {"tweetCount": 1288, "followingCount": 3, "followerCount": 430, "likeCount": likes}
    fields = {**dict.fromkeys(PROFILE_COLUMNS.values()), **PROFILE, **profile}
    return json.dumps({"userId": user, **fields, **counts}, ensure_ascii=False).encode()


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Give a browser."""
    with browser(tmp_path_factory.mktemp("screenshots")) as opened:
        yield opened
        assert [] == opened.complaints()


@pytest.fixture
def topics(kafka: str) -> Topics:
    """Give topics of this test's own, none of them made yet."""
    return Topics(kafka)


@pytest.fixture
def reader(topics: Topics, tmp_path: Path) -> Iterator[Reader]:
    """Give a reader that runs and whose topic is not there yet."""
    with Reader(topics.settings(), tmp_path / "reader") as made:
        made.wait_until_said("does not exist yet")
        yield made


@pytest.fixture
def ready(reader: Reader, topics: Topics) -> Reader:
    """Give a reader that is ready and holds chloe."""
    topics.create("user-info", partitions=3)
    topics.write("user-info", b"chloe", record("chloe", 247))
    reader.wait_until_ready()
    return reader


def test_a_user_is_looked_up(ready: Reader, window: Browser) -> None:
    """Profile, counts and place of the record, and the reader's status."""
    window.open(ready.port)
    window.look_up("chloe")
    window.await_text("#user-title", "Chloé Tremblay")
    counts = [window.text(f"[data-field={name}]") for name in ("tweetCount", "followerCount", "likeCount")]
    assert ["1,288", "430", "247"] == counts
    assert "chloe.example/garden" == window.text("[data-field=webPageUrl] a")
    assert "January 14, 2009" == window.text("[data-field=joinedDate]")
    assert "offset 0" in window.text("#place")
    window.await_text("#state", "ready")
    window.await_text("#records", "1")
    window.await_text("#partitions", "3")
    window.await_text("#size", "iB")
    window.await_text("#behind", " s")
    window.await_text("#requests", "/s")
    window.shoot("look-up")


def test_a_change_is_seen_as_it_comes(ready: Reader, topics: Topics, window: Browser) -> None:
    """A count, a deletion and a return appear without anybody's doing, and are said aloud."""
    window.open(ready.port, "?user=chloe")
    window.await_text("#user-title", "Chloé Tremblay")
    window.await_text("[data-field=likeCount]", "247")
    topics.write("user-info", b"chloe", record("chloe", 248))
    window.await_text("[data-field=likeCount]", "248")
    window.await_text("#news", "1 change")
    assert True is window.run("return document.querySelector('[data-field=likeCount]').classList.contains('fresh')")
    assert "status" == window.run("return document.getElementById('news').role")
    window.shoot("live")
    topics.write("user-info", b"chloe", None)
    window.await_text("#news", "There is no user chloe")
    assert "" == window.text("#user-title")
    topics.write("user-info", b"chloe", record("chloe", 1))
    window.await_text("#user-title", "Chloé Tremblay")


def test_a_user_that_is_not_there_is_awaited(ready: Reader, topics: Topics, window: Browser) -> None:
    """The page says so, and shows the user once it exists; an id that no user can have is said to be none."""
    window.open(ready.port)
    window.look_up("a/b ü")
    window.await_text("#news", "There is no user a/b ü")
    window.shoot("not-found")
    topics.write("user-info", "a/b ü".encode(), record("a/b ü", 1, name="Somebody New"))
    window.await_text("#user-title", "Somebody New")
    window.look_up("ü" * 300)
    window.await_text("#news", "No such user")


def test_a_reader_that_is_not_ready_says_why_and_shows_the_user_once_it_is(
    reader: Reader, topics: Topics, window: Browser
) -> None:
    """No user is called unknown before the topic has been read."""
    window.open(reader.port, "?user=chloe")
    window.await_text("#state", "starting")
    window.await_text("#replay-reason", "The topic")
    assert "does not exist yet" in window.text("#replay-reason")
    window.await_text("#news", "Not ready")
    window.shoot("not-ready")
    topics.create("user-info", partitions=3)
    topics.write("user-info", b"chloe", record("chloe", 247))
    window.await_text("#user-title", "Chloé Tremblay")
    window.await_text("#state", "ready")
    assert "" == window.text("#replay")


def test_a_replay_shows_how_far_it_is_and_how_long_it_still_takes(window: Browser) -> None:
    """A bar, the records, and an estimate."""
    progress = Readiness("replaying", applied=420_000, target=1_000_000, seconds_left=12.3)
    with LocalServer({}, readiness=progress, routes=static_routes.build_routes()) as serving:
        window.open(serving.port)
        window.await_text("#state", "replaying 42 %")
        window.await_text("#replay-estimate", "420,000 of 1,000,000 records, about 13 s left")
        assert 42 == window.run("return document.getElementById('replay-progress').value")
        window.shoot("replay")


def test_a_build_shows_what_it_waits_for(window: Browser) -> None:
    """Its bar is the joiner's progress, and the records that are there already are not counted."""
    progress = Readiness(
        "building", applied=7, target=7, seconds_left=12.3, build_percent=42, reason="it waits for the snapshot"
    )
    with LocalServer({}, readiness=progress, routes=static_routes.build_routes()) as serving:
        window.open(serving.port)
        window.await_text("#state", "building 42 %")
        window.await_text("#replay-estimate", "about 13 s left")
        assert "It waits for the snapshot" == window.text("#replay-reason")
        window.shoot("build")


@pytest.mark.parametrize("dark", [False, True])
def test_a_phone_is_enough(ready: Reader, topics: Topics, window: Browser, dark: bool) -> None:
    """Nothing is wider than 360 pixels for any record; colours follow the person's preference."""
    topics.write("user-info", b"chloe", record("chloe", 247, description="x" * 500, webPageUrl="https://" + "y" * 300))
    window.open(ready.port, "?user=chloe", width=PHONE, dark=dark)
    window.await_text("#description", "x" * 500)
    window.run("document.querySelector('details').open = true")
    assert PHONE == window.run("return Math.max(document.documentElement.scrollWidth, document.body.scrollWidth)")
    brightness = window.run("return Number(getComputedStyle(document.body).backgroundColor.match(/[0-9]+/)[0])")
    assert isinstance(brightness, int)
    assert dark == (brightness < 128)
    window.shoot("phone-dark" if dark else "phone")


def test_records_of_any_view_are_shown_to_the_last_digit(topics: Topics, tmp_path: Path, window: Browser) -> None:
    """Under their resource, fields and sums by their keys, numbers that JavaScript would round included."""
    topics.create("user-info", partitions=3)
    record = b'{"customerId":"7","signedUpOn":"2024-02-29","more":{"a":12345678901234567890},"orderCount":12,'
    topics.write("user-info", b"7", record + b'"spentCents":123456789012345678901,"spent":"12.50"}')
    with Reader(topics.settings(), tmp_path / "reader", READER_RESOURCE="customers") as reader:
        reader.wait_until_ready()
        window.open(reader.port, "?user=7")
        window.await_text("#user-title", "7")
        shown = [window.text(f"[data-field={name}]") for name in ("signedUpOn", "orderCount", "spentCents", "spent")]
        assert ["February 29, 2024", "12", "123,456,789,012,345,678,901", "12.50"] == shown
        labels = window.run("return [...document.querySelectorAll('#record dt')].map((label) => label.textContent)")
        assert ["Order count", "Spent cents", "Signed up on", "More", "Spent"] == labels
        window.run("document.querySelector('details').open = true")
        for exact in ('"spentCents": 123456789012345678901', '"a": 12345678901234567890'):
            assert exact in window.text("#raw")
        window.look_up("8")
        window.await_text("#news", "There is no record 8")
        window.shoot("customers")


def test_the_page_loads_from_its_reader_alone(ready: Reader, window: Browser) -> None:
    """It works without the internet."""
    window.open(ready.port, "?user=chloe")
    window.await_text("#user-title", "Chloé Tremblay")
    asked = window.run("return performance.getEntriesByType('resource').map((entry) => new URL(entry.name).host)")
    assert isinstance(asked, list)
    assert {f"127.0.0.1:{ready.port}"} == set(asked)
