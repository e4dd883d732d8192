"""The proxy in front of sharded readers: its file agrees with the other one and with itself, and HAProxy takes both."""

import re
import subprocess
from pathlib import Path

import pytest

from joiner.settings import JoinerSettings
from stack.ops import OPS
from stack.proxy import CONFIG_FILE, build_config
from tests.support.system_programs import HAPROXY, require

UNSHARDED = OPS / "proxy" / "haproxy.cfg"
SERVERS = [["127.0.0.1:9001", "127.0.0.1:9002"], ["127.0.0.1:9003"], ["127.0.0.1:9004"]]


def settings_of(text: str) -> set[str]:
    """Return all lines about time-outs, retries and checks."""
    found = re.findall(
        r"^    ((?:timeout|retries|retry-on|option|http-check|default-server|balance) .*)", text, re.MULTILINE
    )
    return set(found)


def servers_of(text: str) -> dict[str, list[str]]:
    """Return backend -> its servers, each as name and address."""
    parts = re.split(r"^backend (\S+)$", text, flags=re.MULTILINE)[1:]
    return {
        name: re.findall(r"^    server (\S+ \S+)", servers, re.MULTILINE)
        for name, servers in zip(parts[::2], parts[1::2], strict=True)
    }


@pytest.mark.parametrize("file", [UNSHARDED, CONFIG_FILE], ids=lambda file: file.stem)
def test_haproxy_takes_the_file(file: Path) -> None:
    """Readers whose names cannot be resolved yet are no error."""
    checked = subprocess.run([require(HAPROXY), "-c", "-f", str(file)], capture_output=True, text=True, check=False)
    assert 0 == checked.returncode, checked.stderr


def test_readers_are_checked_and_asked_again_as_without_shards() -> None:
    """Time-outs, retries and the health check are the other proxy's."""
    assert settings_of(UNSHARDED.read_text()) == settings_of(CONFIG_FILE.read_text())


def test_its_numbers_are_the_defaults_and_every_shard_has_several_readers() -> None:
    """A backend for each shard, all of whose servers also answer what is about no user; no name but theirs is used."""
    text = CONFIG_FILE.read_text()
    numbers = dict(re.findall(r"set-var\(txn\.(partition|shard)\) .*mod\((\d+)\)", text))
    assert str(JoinerSettings.model_fields["user_info_partitions"].default) == numbers["partition"]
    servers = servers_of(text)
    shards = [f"shard{number}" for number in range(int(numbers["shard"]))]
    assert [*shards, "readers", "nobody"] == list(servers)
    assert [] == servers["nobody"]
    assert [server for shard in shards for server in servers[shard]] == servers["readers"]
    assert all(len(servers[shard]) > 1 for shard in shards)
    assert all(f"nbsrv({shard}) lt 1" in text for shard in shards)
    assert "default_backend nobody" in text


def test_the_stack_changes_addresses_and_numbers_alone() -> None:
    """Three shards of twelve partitions, one of them with two readers."""
    text = build_config(9000, 12, SERVERS)
    servers = servers_of(text)
    assert SERVERS == [[server.split()[1] for server in servers[f"shard{number}"]] for number in range(3)]
    assert [server for number in range(3) for server in servers[f"shard{number}"]] == servers["readers"]
    assert ("crc32,mod(12)" in text, "(txn.partition),mod(3)" in text, "bind 127.0.0.1:9000" in text) == (True,) * 3
    assert "resolvers" not in text.partition("\nfrontend")[0]
    shop = build_config(9000, 12, SERVERS, "customers")
    assert (0, 2) == (shop.count("path /users") + shop.count("path_beg /users"), shop.count("/customers"))
    routed = [line for line in CONFIG_FILE.read_text().splitlines() if "txn.id" in line and "mod(" not in line]
    assert set(routed) <= set(text.splitlines())
