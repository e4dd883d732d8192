"""Users whose records PostgreSQL cannot hold, such as those with U+0000 in a text: they are named in a table.

A row of an older record would be wrong without a word, so it is deleted; the table says which users are missing, where
the record is in the topic, and why. The user's next record is tried again.
"""

from collections.abc import Mapping, Sequence

import psycopg

from replication.records import Record
from shared.view.sql import quote
from sink.postgres import statements
from sink.postgres.columns import Column
from sink.records import check_id, check_record
from sink.store import Copy


def find_misnamed(id_key: str, records: Mapping[bytes, Record]) -> dict[bytes, str]:
    """Return which records are not those of the users whose keys they have: key -> why."""
    reasons = {key: check_id(id_key, key, each.value) for key, each in records.items() if each.value is not None}
    return {key: reason for key, reason in reasons.items() if reason is not None}


def find_refused(
    connection: psycopg.Connection, columns: Sequence[Column], records: Mapping[bytes, Record]
) -> dict[bytes, str]:
    """Return which records cannot be stored: key -> why. Tries each by itself, so it is called only if all fail."""
    query = statements.read_record(columns).encode()
    refused: dict[bytes, str] = {}
    for key, record in records.items():
        if record.value is None:
            continue
        reason = check_record(columns[0].key, key, record.value)
        if reason is None:
            try:
                connection.execute(query, [f"[{record.value.decode()}]"])
            except psycopg.DataError as error:
                reason = str(error).strip().replace("\n", "; ")
        if reason is not None:
            refused[key] = reason
    return refused


def replace_refused(
    connection: psycopg.Connection,
    table: str,
    copy: Copy,
    records: Mapping[bytes, Record],
    refused: Mapping[bytes, str],
) -> None:
    """Name the users of a batch that are refused, and no others of it.

    Args:
        connection: with the batch's transaction.
        table: that names them.
        copy: which the batch is applied to.
        records: of the batch.
        refused: key -> why.
    """
    connection.execute(
        f"DELETE FROM {quote(table)} WHERE copy = %s AND user_key = ANY(%s)".encode(), [copy, list(records)]
    )
    statement = f"INSERT INTO {quote(table)} VALUES (%s, %s, %s, %s, %s)".encode()
    for key, reason in refused.items():
        record = records[key]
        connection.execute(statement, [copy, key, record.partition, record.offset, reason])
