"""Which names a view may give to tables, to columns and to the keys of its record."""

import re

from shared.view.section import Section

RESERVED_TABLES = ("user_info", "user_info_changes", "dead_letters", "heartbeats")
"""Tables whose topic would have a variable that is a setting already, such as USER_INFO_TOPIC."""

MAX_NAME_BYTES = 63
"""PostgreSQL cuts longer names, and two that are cut may be one."""

RESERVED_PREFIX = "__"
"""Debezium writes of a row in such columns; such keys of a record are kept for the service."""

_TABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")


def check_table(section: Section, key: str, table: str) -> None:
    """Refuse the name of a table from which no variable can be made."""
    if not _TABLE.fullmatch(table) or len(table) > MAX_NAME_BYTES:
        hint = (
            f"write its plain name: up to {MAX_NAME_BYTES} ASCII letters, digits and _; its topic is named in [tables]"
        )
        raise section.refuse(key, f'"{table:.80}" is no name of a table', hint)
    if table.lower() in RESERVED_TABLES:
        hint = f"call it otherwise here, and name its topic in [tables]; {table.upper()}_TOPIC is a setting"
        raise section.refuse(key, f'"{table}" is reserved', hint)


def check_column(section: Section, key: str, column: str) -> None:
    """Refuse the name of a column that no row has."""
    if not column or not column.isprintable() or len(column.encode()) > MAX_NAME_BYTES:
        hint = f"write 1 to {MAX_NAME_BYTES} bytes of printable text"
        raise section.refuse(key, f"{column[:80]!r} is no name of a column", hint)
    if column.startswith(RESERVED_PREFIX):
        raise section.refuse(
            key, f'"{column}" is reserved', "name a column of the table; Debezium adds those that begin with __"
        )


def check_key(section: Section, key: str, name: str) -> None:
    """Refuse a key of the record that some program cannot take."""
    if not _KEY.fullmatch(name) or len(name) > MAX_NAME_BYTES:
        hint = f"write up to {MAX_NAME_BYTES} ASCII letters, digits, _ and -, a letter or _ first"
        raise section.refuse(key, f"{name[:80]!r} is no key of a record", hint)
    if name.startswith(RESERVED_PREFIX):
        raise section.refuse(
            key, f'"{name}" is reserved', "begin it with a letter; keys that begin with __ are the service's"
        )


def check_topic(section: Section, key: str, topic: str) -> None:
    """Refuse what Kafka takes for no name of a topic."""
    if not _TOPIC.fullmatch(topic) or topic in (".", ".."):
        hint = "write 1 to 249 ASCII letters, digits, dots, _ and -"
        raise section.refuse(key, f"{topic[:80]!r} is no name of a topic", hint)
