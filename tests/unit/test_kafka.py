"""`KAFKA_<PROPERTY>` in the environment: passed on, warned of, or refused, tried on the real client library."""

from contextlib import suppress

import pytest
from confluent_kafka import KafkaError
from confluent_kafka.admin import AdminClient

from replication.kafka.config import OWN, PREFERRED, build_consumer_config, validate_properties
from shared.errors import SettingError
from shared.kafka import (
    COMMON,
    PARTITION_EOF,
    REFUSED,
    build_config,
    check_credentials,
    filter_known_properties,
    read_properties,
    variable_name,
)
from shared.topics import MAX_MESSAGE_BYTES, MAX_RECORD_BYTES


def build_properties(environment: dict[str, str]) -> dict[str, str]:
    """Return the properties that reach the client."""
    return filter_known_properties(read_properties(environment), AdminClient)


def test_a_property_reaches_the_client_under_its_own_name() -> None:
    """Underscores are dots; all that does not begin with KAFKA_ belongs to other programs."""
    environment = {
        "KAFKA_BOOTSTRAP_SERVERS": "kafka:9092",
        "KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
        "KAFKA_SASL_MECHANISM": "PLAIN",
        "KAFKA_SASL_USERNAME": "reader",
        "KAFKA_SASL_PASSWORD": "p_A_ss",
        "MY_KAFKA_CLIENT_ID": "x",
        "PATH": "/bin",
    }
    assert {
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "PLAIN",
        "sasl.username": "reader",
        "sasl.password": "p_A_ss",
    } == build_properties(environment)


@pytest.mark.parametrize(
    "variable", ["KAFKA_PORT", "KAFKA_SERVICE_HOST", "KAFKA_HEAP_OPTS", "KAFKA_", "KAFKA_LOGGER", "KAFKA_ERROR_CB"]
)
def test_a_name_that_the_client_does_not_know_is_ignored_with_a_warning(
    variable: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Platforms inject such; the others still pass."""
    assert {"client.id": "me"} == build_properties({variable: "tcp://10.0.0.1:9092", "KAFKA_CLIENT_ID": "me"})
    assert f"{variable} is ignored" in caplog.text


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_a_property_that_exactness_rests_on_is_refused_by_name(name: str) -> None:
    """Also under the client's other names for it."""
    variable = variable_name(name)
    with pytest.raises(SettingError, match=rf"^{variable}: the service sets {name} itself.*; unset {variable}$"):
        read_properties({variable: "1"})


@pytest.mark.parametrize(
    "name",
    ["isolation.level", "group.id", "transactional.id", "partitioner", "enable.idempotence", "auto.offset.reset"],
)
def test_properties_that_break_a_promise_cannot_be_set(name: str) -> None:
    """The list of refused properties holds at least those that the design names."""
    assert name in REFUSED


def test_kafkas_addresses_are_spelt_in_one_way_only() -> None:
    """Another spelling would be a second answer to where Kafka is."""
    with pytest.raises(SettingError, match=r"^KAFKA_Bootstrap_Servers: .* KAFKA_BOOTSTRAP_SERVERS alone"):
        read_properties({"KAFKA_Bootstrap_Servers": "kafka:9092"})


@pytest.mark.parametrize("value", ["1000000", str(MAX_MESSAGE_BYTES - 1), "much"])
def test_a_limit_that_keeps_records_out_is_refused_and_the_least_named(value: str) -> None:
    """A record of 4 MiB must pass; a larger limit does no harm."""
    with pytest.raises(
        SettingError, match=rf"^KAFKA_MESSAGE_MAX_BYTES: must be at least {MAX_MESSAGE_BYTES}, .*{value}"
    ):
        read_properties({"KAFKA_MESSAGE_MAX_BYTES": value})
    assert {"message.max.bytes": "8000000"} == read_properties({"KAFKA_MESSAGE_MAX_BYTES": "8000000"})


def test_every_refused_name_is_one_that_the_client_knows(caplog: pytest.LogCaptureFixture) -> None:
    """A misspelt entry would refuse nothing."""
    for name in REFUSED:
        with suppress(SettingError):
            filter_known_properties({name: "1"}, AdminClient)
    assert "is ignored" not in caplog.text


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("KAFKA_SECURITY_PROTOCOL", "sl", 'Invalid value "sl" for configuration property "security.protocol"'),
        ("KAFKA_SOCKET_TIMEOUT_MS", "soon", 'Invalid value for configuration property "socket.timeout.ms"'),
        ("KAFKA_SOCKET_TIMEOUT_MS", "-1", '"socket.timeout.ms" value -1 is outside allowed range'),
    ],
)
def test_a_value_that_the_client_refuses_names_its_variable(variable: str, value: str, said: str) -> None:
    """And no other one, for any other settings."""
    with pytest.raises(SettingError) as refused:
        build_properties({variable: value, "KAFKA_CLIENT_ID": "me"})
    assert str(refused.value).startswith(f"{variable}: the Kafka client refuses it: ")
    assert said in str(refused.value)


def test_a_combination_that_the_client_refuses_names_its_variables_and_no_secret() -> None:
    """Where the client does not say which property is at fault, all that are set are named."""
    with pytest.raises(SettingError) as refused:
        build_properties(
            {"KAFKA_SECURITY_PROTOCOL": "SASL_SSL", "KAFKA_SASL_MECHANISM": "NOPE", "KAFKA_SASL_PASSWORD": "s3cret"}
        )
    assert "KAFKA_SASL_MECHANISM" in str(refused.value)
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize("name", ["KAFKA_SASL_PASSWORD", "KAFKA_SSL_KEY_PASSWORD"])
def test_a_password_that_the_client_would_shorten_is_refused(name: str) -> None:
    """It leaves out blanks in front, and would be refused by the broker for a reason that nobody could see."""
    with pytest.raises(SettingError, match=f"^{name}: begins with a blank, which Kafka's client leaves out"):
        read_properties({name: " s3cret"})
    assert ["s3cret \"'\\#%ü中 "] == [*read_properties({name: "s3cret \"'\\#%ü中 "}).values()]


@pytest.mark.parametrize("name", PREFERRED)
def test_the_readers_preferences_can_be_overridden(name: str) -> None:
    """Nothing that is set is overruled in silence."""
    assert "100000" == build_consumer_config(validate_properties({name: "100000"}))[name]


def test_the_clients_other_name_of_a_preferred_property_may_be_set_too() -> None:
    """The client takes properties in their order, so what the environment sets comes last."""
    configuration = [*build_consumer_config(validate_properties({"fetch.message.max.bytes": "9000000"}))]
    assert configuration.index("fetch.message.max.bytes") > configuration.index("max.partition.fetch.bytes")


def test_a_value_that_does_not_go_together_with_the_readers_own_names_its_variable() -> None:
    """The client says so only when it is made as the reader makes it, which would otherwise be after the start."""
    with pytest.raises(SettingError, match=r"^KAFKA_FETCH_MAX_BYTES: .*service sets message\.max\.bytes=4456448\)$"):
        validate_properties({"fetch.max.bytes": "1000", "client.id": "me"})


def test_the_services_own_properties_cannot_be_set() -> None:
    """What a program would overrule in silence must be of the refused ones."""
    assert OWN.keys() <= REFUSED
    assert build_config({"client.id": "me"}, {"client.id": "us", "linger.ms": 5}, {"acks": "all"}).items() >= {
        ("client.id", "me"),
        ("linger.ms", 5),
        ("acks", "all"),
    }
    with pytest.raises(AssertionError, match=r"linger\.ms"):
        build_config({}, {}, {"linger.ms": 5})


def test_every_client_lets_the_largest_record_pass() -> None:
    """Key, headers and framing come on top of 4 MiB."""
    assert 4 * 1024 * 1024 == MAX_RECORD_BYTES
    assert COMMON["message.max.bytes"] == MAX_MESSAGE_BYTES > MAX_RECORD_BYTES + 1024


def test_a_kafka_without_credentials_is_not_asked() -> None:
    """Without TLS and passwords nothing can be refused, and the start does not wait."""

    def client(_: dict[str, object]) -> object:
        raise AssertionError

    assert {"client.id": "a"} == check_credentials("127.0.0.1:1", {"client.id": "a"}, client)


def test_the_end_of_a_partition_has_the_code_that_the_client_reports() -> None:
    """The number is written in a module that imports no client."""
    assert KafkaError._PARTITION_EOF == PARTITION_EOF  # noqa: SLF001 - the client's public constant
