"""The settings of each tier: the documented names and defaults, and messages that name the variable at fault."""

from pathlib import Path

import pytest
from pydantic_settings import BaseSettings

from joiner.settings import JoinerSettings
from reader.settings import ReaderSettings
from shared.errors import SettingError
from shared.settings import describe_settings, read_settings
from stack.settings import StackSettings
from tests.support.built_in import FOLLOWS, LIKES, TWEETS, USERS

BOTH = {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9092", "USER_INFO_TOPIC": "user-info"}
CONTRACT: dict[type[BaseSettings], dict[str, object]] = {
    JoinerSettings: {
        **BOTH,
        "USERS_TOPIC": "users",
        "TWEETS_TOPIC": "tweets",
        "FOLLOWS_TOPIC": "follows",
        "LIKES_TOPIC": "likes",
        "USER_INFO_CHANGES_TOPIC": "user-info-changes",
        "DEAD_LETTERS_TOPIC": "user-info-dead-letters",
        "USER_INFO_PARTITIONS": 8,
        "TOPIC_REPLICATION_FACTOR": None,
        "JOINER_GROUP": "user-info-joiner",
        "JOINER_INSTANCE_ID": "0",
        "JOINER_STATE_DIR": Path(".local/joiner"),
        "JOINER_COMMIT_INTERVAL_SECONDS": 0.1,
        "JOINER_WAIT_FOR_TOPICS_SECONDS": 60,
        "JOINER_HTTP_PORT": 8001,
        "HEARTBEATS_TOPIC": None,
        "JOINER_WRITES_HEARTBEATS": False,
    },
    ReaderSettings: {
        **BOTH,
        "READER_HOST": "127.0.0.1",
        "READER_PORT": 8000,
        "READER_STATE_DIR": Path(".local/reader"),
        "READER_MAX_STALENESS_SECONDS": None,
    },
    StackSettings: {
        "STACK_DIR": Path(".local"),
        "STACK_KAFKA_PORT": 9092,
        "STACK_POSTGRES_PORT": 5433,
        "STACK_CONNECT_PORT": 8083,
    },
}
NAMED = [(settings, variable) for settings, contract in CONTRACT.items() for variable in contract]


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take every setting out of the environment that the tests run in."""
    for settings in CONTRACT:
        for name in settings.model_fields:
            monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize(("settings", "variable"), NAMED)
def test_the_documented_defaults_hold(settings: type[BaseSettings], variable: str) -> None:
    """Other programs are run against these names and values."""
    assert CONTRACT[settings][variable] == getattr(read_settings(settings), variable.lower())


@pytest.mark.parametrize(("settings", "variable"), NAMED)
def test_an_empty_variable_is_an_unset_one(
    settings: type[BaseSettings], variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compose files and shells set variables to nothing."""
    monkeypatch.setenv(variable, "")
    assert CONTRACT[settings][variable] == getattr(read_settings(settings), variable.lower())


@pytest.mark.parametrize(
    ("settings", "variable", "value", "parsed"),
    [
        (JoinerSettings, "LIKES_TOPIC", "db.public.likes", "db.public.likes"),
        (JoinerSettings, "JOINER_COMMIT_INTERVAL_SECONDS", "0.5", 0.5),
        (JoinerSettings, "JOINER_HTTP_PORT", "0", 0),
        (JoinerSettings, "TOPIC_REPLICATION_FACTOR", "3", 3),
        (JoinerSettings, "JOINER_STATE_DIR", "/var/lib/joiner", Path("/var/lib/joiner")),
        (ReaderSettings, "LOG_LEVEL", "debug", "DEBUG"),
        (ReaderSettings, "READER_PORT", "65535", 65535),
        (StackSettings, "STACK_KAFKA_PORT", "19092", 19092),
    ],
)
def test_a_variable_sets_its_setting(
    settings: type[BaseSettings], variable: str, value: str, parsed: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is read from the environment under its name."""
    monkeypatch.setenv(variable, value)
    assert parsed == getattr(read_settings(settings), variable.lower())


@pytest.mark.parametrize(
    ("settings", "variable", "value"),
    [
        (JoinerSettings, "USERS_TOPIC", "no spaces"),
        (JoinerSettings, "USER_INFO_TOPIC", "x" * 250),
        (JoinerSettings, "USER_INFO_PARTITIONS", "0"),
        (JoinerSettings, "USER_INFO_PARTITIONS", "many"),
        (JoinerSettings, "TOPIC_REPLICATION_FACTOR", "0"),
        (JoinerSettings, "JOINER_GROUP", "two words"),
        (JoinerSettings, "JOINER_INSTANCE_ID", "a/b"),
        (JoinerSettings, "JOINER_COMMIT_INTERVAL_SECONDS", "0"),
        (JoinerSettings, "JOINER_COMMIT_INTERVAL_SECONDS", "soon"),
        (JoinerSettings, "JOINER_COMMIT_INTERVAL_SECONDS", "nan"),
        (JoinerSettings, "JOINER_WAIT_FOR_TOPICS_SECONDS", "-1"),
        (JoinerSettings, "JOINER_WAIT_FOR_TOPICS_SECONDS", "nan"),
        (JoinerSettings, "JOINER_HTTP_PORT", "65536"),
        (JoinerSettings, "HEARTBEATS_TOPIC", "no spaces"),
        (ReaderSettings, "READER_MAX_STALENESS_SECONDS", "0"),
        (ReaderSettings, "READER_MAX_STALENESS_SECONDS", "nan"),
        (ReaderSettings, "READER_PORT", "-1"),
        (ReaderSettings, "READER_PORT", "http"),
        (ReaderSettings, "USER_INFO_TOPIC", "user/info"),
        (ReaderSettings, "LOG_LEVEL", "LOUD"),
        (StackSettings, "STACK_CONNECT_PORT", "8O83"),
    ],
)
def test_a_value_that_does_not_parse_names_its_variable(
    settings: type[BaseSettings], variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message begins with the variable, says what it should be and what it is."""
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingError) as refused:
        read_settings(settings)
    assert str(refused.value).startswith(f"{variable}: ")
    assert f"(it is {value!r})" in str(refused.value)


def test_every_wrong_value_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """One start shows all mistakes."""
    monkeypatch.setenv("READER_PORT", "x")
    monkeypatch.setenv("LOG_LEVEL", "y")
    with pytest.raises(SettingError, match=r"LOG_LEVEL: .*; READER_PORT: "):
        read_settings(ReaderSettings)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("USERS_TOPIC", "LIKES_TOPIC"),
        ("USER_INFO_TOPIC", "USER_INFO_CHANGES_TOPIC"),
        ("FOLLOWS_TOPIC", "DEAD_LETTERS_TOPIC"),
        ("HEARTBEATS_TOPIC", "LIKES_TOPIC"),
    ],
)
def test_two_topics_of_one_name_are_refused_by_name(first: str, second: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A topic that is read and written at once would feed on itself."""
    monkeypatch.setenv(first, "same")
    monkeypatch.setenv(second, "same")
    with pytest.raises(SettingError, match=r"both name the topic 'same'; give each its own") as refused:
        read_settings(JoinerSettings)
    assert {first, second} == {word for word in str(refused.value).split() if word.endswith("_TOPIC")}


def test_heartbeats_are_written_into_a_topic_that_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A joiner that is to write them needs a topic for them."""
    monkeypatch.setenv("JOINER_WRITES_HEARTBEATS", "true")
    with pytest.raises(SettingError, match="JOINER_WRITES_HEARTBEATS needs HEARTBEATS_TOPIC"):
        read_settings(JoinerSettings)
    monkeypatch.setenv("HEARTBEATS_TOPIC", "heartbeats")
    assert "heartbeats" == read_settings(JoinerSettings).topic_names()["HEARTBEATS_TOPIC"]


def test_kafka_properties_come_with_the_settings_and_are_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """A password among them stays out of logs; one that must not be set stops the start."""
    monkeypatch.setenv("KAFKA_SASL_PASSWORD", "s3cret")
    settings = read_settings(ReaderSettings)
    assert "s3cret" == settings.kafka_properties["sasl.password"]
    assert "s3cret" not in repr(settings) + str(settings.model_dump())
    monkeypatch.setenv("KAFKA_ISOLATION_LEVEL", "read_uncommitted")
    with pytest.raises(SettingError, match=r"^KAFKA_ISOLATION_LEVEL: "):
        read_settings(ReaderSettings)


def test_each_source_topic_has_its_table_and_each_process_a_stable_id(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the joiner derives from its settings."""
    monkeypatch.setenv("LIKES_TOPIC", "db.likes")
    monkeypatch.setenv("JOINER_INSTANCE_ID", "7")
    settings = read_settings(JoinerSettings)
    assert {"users": USERS, "tweets": TWEETS, "follows": FOLLOWS, "db.likes": LIKES} == settings.tables
    assert "user-info-joiner-7" == settings.transactional_id


@pytest.mark.parametrize("settings", CONTRACT)
def test_help_says_what_each_variable_is(settings: type[BaseSettings]) -> None:
    """Name, description, default; only what people can set."""
    text = describe_settings(settings)
    for variable in CONTRACT[settings]:
        assert f"  {variable}\n      " in text
    undescribed = [name for name, field in settings.model_fields.items() if not field.description]
    assert [] == [name for name in undescribed if name != "kafka_properties"]
    assert "KAFKA_PROPERTIES" not in text
