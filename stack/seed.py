"""Fills the tables: with a believable generated population, or with CSV files."""

import csv
import itertools
import random
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
from psycopg import sql

from shared.view.model import BUILT_IN
from stack.errors import StackError

COLUMNS = {
    "users": (
        "user_id",
        "username",
        "name",
        "description",
        "location",
        "web_page_url",
        "joined_date",
        "profile_image_url",
        "background_image_url",
    ),
    "tweets": ("tweet_id", "text", "user_id"),
    "follows": ("follow_id", "follower_id", "followee_id"),
    "likes": ("like_id", "user_id", "tweet_id"),
}
PRIMARY_KEYS = {source.table: source.key[0] for source in BUILT_IN.sources}

TWEETS_PER_USER, FOLLOWS_PER_USER, LIKES_PER_USER = 3, 4, 2.5
GIVEN = (
    "Ada",
    "Bo",
    "Chloé",
    "Dmitri",
    "Эльвира",
    "Fatima",
    "Γιώργος",
    "花子",
    "伟",
    "Jürgen",
    "नेहा",
    "Ólafur",
    "Zoë",
    "יעל",
)
FAMILY = (
    "Lovelace",
    "Nguyễn",
    "García",
    "Петрова",
    "Παππάς",
    "山田",
    "王",
    "O'Neil",
    "Müller",
    "शर्मा",
    "Þórsdóttir",
    "כהן",
)
PLACES = ("Lagos", "São Paulo", "München", "東京", "Reykjavík", "Київ", "Québec", "बेंगलुरु", "Nairobi", "Kraków")
WORDS = (
    "coffee",
    "maps",
    "rivers",
    "型",
    "compilers",
    "salsa",
    "ferns",
    "données",
    "bicycles",
    "музыка",
    "tea",
    "🦉",
    "chess",
)


def populate(dsn: str, users: int, seed: int = 1) -> int:
    """Fill empty tables with a population; return how many rows were written, 0 if there are users already.

    Args:
        dsn: how to connect.
        users: how many users; tweets, follows and likes come with them.
        seed: the same seed gives the same population.
    """
    chance = random.Random(seed)
    with psycopg.connect(dsn) as connection:
        if connection.execute("SELECT EXISTS (SELECT FROM users)").fetchone() == (True,):
            return 0
        popular = _weigh_users(users)
        written = _copy(connection, "users", _make_users(chance, users))
        tweets = int(users * TWEETS_PER_USER)
        written += _copy(
            connection,
            "tweets",
            ((number, _make_sentence(chance, 3, 12), _pick(chance, popular)) for number in range(1, tweets + 1)),
        )
        written += _copy(
            connection,
            "follows",
            (
                (number, chance.randint(1, users), _pick(chance, popular))
                for number in range(1, int(users * FOLLOWS_PER_USER) + 1)
            ),
        )
        written += _copy(
            connection,
            "likes",
            (
                (number, _pick(chance, popular), chance.randint(1, max(tweets, 1)))
                for number in range(1, int(users * LIKES_PER_USER) + 1)
            ),
        )
        _advance_identities(connection)
    return written


def load_files(dsn: str, files: Mapping[str, Path]) -> dict[str, int]:
    """Write the rows of CSV files, replacing those with the same primary key; return table -> rows.

    Args:
        dsn: how to connect.
        files: table -> a UTF-8 CSV file whose first line names columns of the table; an empty field is NULL.

    Raises:
        StackError: a file is missing, names a column that its table does not have, lacks the primary key, or has a
            value that the column does not take; no row of any file has been written then.
    """
    counts = {}
    with psycopg.connect(dsn) as connection:
        for table, file in files.items():
            columns = _read_header(table, file)
            try:
                counts[table] = _merge(connection, table, columns, file)
            except psycopg.Error as error:
                raise StackError(f"{file} does not fit the table {table}: {str(error).strip()}") from error
        _advance_identities(connection)
    return counts


def _read_header(table: str, file: Path) -> list[str]:
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            columns = next(csv.reader(lines), [])
    except OSError as error:
        raise StackError(f"cannot read {file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise StackError(f"{file} is not UTF-8: {error}") from error
    unknown = [column for column in columns if column not in COLUMNS[table]]
    if unknown:
        raise StackError(
            f"{file} names {', '.join(map(repr, unknown))}, which the table {table} does not have",
            f"use its columns: {', '.join(COLUMNS[table])}",
        )
    if PRIMARY_KEYS[table] not in columns:
        raise StackError(f"{file} has no column {PRIMARY_KEYS[table]}, the primary key of {table}")
    return columns


def _merge(connection: psycopg.Connection, table: str, columns: list[str], file: Path) -> int:
    names = sql.SQL(", ").join(map(sql.Identifier, columns))
    rest = [sql.SQL("{0} = EXCLUDED.{0}").format(sql.Identifier(c)) for c in columns if c != PRIMARY_KEYS[table]]
    on_conflict = sql.SQL("UPDATE SET {}").format(sql.SQL(", ").join(rest)) if rest else sql.SQL("NOTHING")
    target, given = sql.Identifier(table), sql.Identifier(f"given_{table}")
    connection.execute(
        sql.SQL("CREATE TEMP TABLE {} (LIKE {} INCLUDING DEFAULTS) ON COMMIT DROP").format(given, target)
    )
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv, HEADER true)").format(given, names)
    with connection.cursor() as cursor, cursor.copy(statement) as copy, file.open("rb") as content:
        if content.read(3) != b"\xef\xbb\xbf":
            content.seek(0)
        while chunk := content.read(1024 * 1024):
            copy.write(chunk)
    insert = sql.SQL("INSERT INTO {} ({}) SELECT {} FROM {} ON CONFLICT ({}) DO {}").format(
        target, names, names, given, sql.Identifier(PRIMARY_KEYS[table]), on_conflict
    )
    return connection.execute(insert).rowcount


def _copy(connection: psycopg.Connection, table: str, rows: Iterable[tuple[object, ...]]) -> int:
    names = sql.SQL(", ").join(map(sql.Identifier, COLUMNS[table]))
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(table), names)
    count = 0
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row(row)
            count += 1
    return count


def _advance_identities(connection: psycopg.Connection) -> None:
    """Give the next row without an id a higher one than all that were copied with theirs."""
    for table, key in PRIMARY_KEYS.items():
        connection.execute(
            sql.SQL("SELECT setval(pg_get_serial_sequence({}, {}), greatest(max({}), 1)) FROM {}").format(
                sql.Literal(table), sql.Literal(key), sql.Identifier(key), sql.Identifier(table)
            )
        )


def _make_users(chance: random.Random, users: int) -> Iterator[tuple[object, ...]]:
    joined = datetime(2009, 1, 1, tzinfo=UTC)
    for user_id in range(1, users + 1):
        name = f"{chance.choice(GIVEN)} {chance.choice(FAMILY)}"
        handle = f"user{user_id}"
        yield (
            user_id,
            handle,
            name,
            _choose(chance, 0.8, _make_sentence(chance, 4, 600 if chance.random() < 0.01 else 25)),
            _choose(chance, 0.6, chance.choice(PLACES)),
            _choose(chance, 0.3, f"https://example.org/{handle}"),
            joined + timedelta(seconds=chance.randrange(500_000_000)),
            _choose(chance, 0.7, f"https://img.example.org/{handle}.jpg"),
            _choose(chance, 0.2, f"https://img.example.org/{handle}-wide.jpg"),
        )


def _choose(chance: random.Random, share: float, text: str) -> str | None:
    return text if chance.random() < share else None


def _make_sentence(chance: random.Random, least: int, most: int) -> str:
    return " ".join(chance.choices(WORDS, k=chance.randint(least, max(least, most))))


def _weigh_users(users: int) -> list[float]:
    """Return cumulative weights: few users have many followers, likes and tweets, most have few (Zipf's law)."""
    return list(itertools.accumulate(1 / (rank + 10) ** 0.9 for rank in range(users)))


def _pick(chance: random.Random, popular: list[float]) -> int:
    return chance.choices(range(1, len(popular) + 1), cum_weights=popular)[0]
