"""Which topics a view's tables have: the variable outweighs the file, and the file the name."""

from pathlib import Path

import pytest

from doctor.checks import DoctorSettings
from joiner.settings import JoinerSettings
from shared.errors import SettingError, ViewError
from shared.settings import read_settings
from shared.topic_rules import Role
from shared.view.model import BUILT_IN, Source
from shared.view.names import RESERVED_TABLES

SHOP = """
[record]
of = "users"
id = "id"
as = "id"
[counts]
orders = { of = "orders", by = "user_id" }
reviews = { of = "reviews", by = "user_id" }
[tables]
users = { topic = "shop.users" }
orders = { topic = "shop.orders" }
"""


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Set USER_INFO_VIEW to a file with a view of users, orders and reviews."""
    file = tmp_path / "view.toml"
    file.write_text(SHOP)
    monkeypatch.setenv("USER_INFO_VIEW", str(file))
    return file


def test_without_a_file_the_view_is_the_built_in_one() -> None:
    """So nobody needs a file who has these tables."""
    settings = read_settings(JoinerSettings)
    assert BUILT_IN is settings.view
    assert ["users", "tweets", "follows", "likes"] == list(settings.sources)


def test_a_topic_is_called_as_the_file_says_or_else_as_the_table(shop: Path) -> None:
    """The table `users` has a setting of its own, whose default says nothing of this view."""
    assert shop.exists()
    settings = read_settings(JoinerSettings)
    assert {
        "shop.users": Source("users", "shop.users", ("id",)),
        "shop.orders": Source("orders", "shop.orders", ("order_id",)),
        "reviews": Source("reviews", "reviews", ("review_id",)),
    } == settings.sources
    assert {
        "USERS_TOPIC": "shop.users",
        "ORDERS_TOPIC": "shop.orders",
        "REVIEWS_TOPIC": "reviews",
        "USER_INFO_TOPIC": "user-info",
        "USER_INFO_CHANGES_TOPIC": "user-info-changes",
        "DEAD_LETTERS_TOPIC": "user-info-dead-letters",
    } == settings.topic_names()


def test_a_tables_variable_names_its_topic_whatever_the_file_says(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A deployment has its own names; an empty variable is an unset one, and one of no table means nothing."""
    assert shop.exists()
    monkeypatch.setenv("USERS_TOPIC", "people")
    monkeypatch.setenv("ORDERS_TOPIC", "db.orders")
    monkeypatch.setenv("REVIEWS_TOPIC", "")
    monkeypatch.setenv("LIKES_TOPIC", "shop.orders")
    assert ["people", "db.orders", "reviews"] == list(read_settings(JoinerSettings).sources)


def test_the_stores_are_those_of_tables_that_are_aggregated(shop: Path) -> None:
    """The record's own rows are passed on, unless the view counts them as well."""
    assert ["shop.orders", "reviews", "user-info-changes"] == list(read_settings(JoinerSettings).changelogs)
    shop.write_text(SHOP.replace("[tables]", 'invited = { of = "users", by = "invited_by" }\n[tables]'))
    assert ["shop.users", "shop.orders", "reviews", "user-info-changes"] == list(
        read_settings(JoinerSettings).changelogs
    )


def test_a_tables_variable_is_checked_as_any_setting(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It must be a topic's name, and no other topic's."""
    assert shop.exists()
    monkeypatch.setenv("ORDERS_TOPIC", "no spaces")
    with pytest.raises(SettingError) as refused:
        read_settings(JoinerSettings)
    assert (
        "ORDERS_TOPIC: String should match pattern '^[A-Za-z0-9._-]{1,249}$' (it is 'no spaces')" == refused.value.what
    )
    monkeypatch.setenv("ORDERS_TOPIC", "user-info")
    with pytest.raises(SettingError, match="ORDERS_TOPIC and USER_INFO_TOPIC both name the topic 'user-info'"):
        read_settings(JoinerSettings)


def test_a_variable_that_is_nearly_one_of_a_topic_is_noticed(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The joiner warns of it, since another topic would be read; variables of other programs are theirs."""
    assert shop.exists()
    monkeypatch.setenv("ORDER_TOPIC", "db.orders")
    monkeypatch.setenv("HEARTBEAT_TOPIC", "beats")
    monkeypatch.setenv("LIKES_TOPIC", "likes")
    monkeypatch.setenv("PAYMENTS_TOPIC", "payments")
    monkeypatch.setenv("ORDERS_EVENTS_TOPIC", "events")
    assert {"ORDER_TOPIC": "ORDERS_TOPIC", "HEARTBEAT_TOPIC": "HEARTBEATS_TOPIC"} == (
        read_settings(JoinerSettings).find_misspelt()
    )
    monkeypatch.setenv("ORDERS_TOPIC", "db.orders")
    assert {"HEARTBEAT_TOPIC": "HEARTBEATS_TOPIC"} == read_settings(JoinerSettings).find_misspelt()


def test_a_view_that_cannot_be_read_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is touched, as a wrong setting does."""
    monkeypatch.setenv("USER_INFO_VIEW", "missing.toml")
    with pytest.raises(ViewError, match=r"^missing\.toml: cannot be read: No such file or directory"):
        read_settings(JoinerSettings)


def test_the_doctor_checks_the_topics_of_the_view(shop: Path) -> None:
    """It reads the same variables."""
    assert shop.exists()
    roles = read_settings(DoctorSettings).roles
    assert ["shop.users", "shop.orders", "reviews"] == [topic for topic, role in roles.items() if role is Role.SOURCE]


def test_no_table_may_have_the_variable_of_another_topic() -> None:
    """A view that takes such a name is refused; these are all that the programs have."""
    names = {name for settings in (JoinerSettings, DoctorSettings) for name in settings.model_fields}
    built_in = {source.table for source in BUILT_IN.sources}
    taken = {name.removesuffix("_topic") for name in names if name.endswith("_topic")}
    assert {*RESERVED_TABLES} == taken - built_in
