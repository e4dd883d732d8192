"""What a view consists of, as frozen values. Knows neither files nor SQL, neither Kafka nor JSON libraries.

A record is one row of one table, plus counts and sums over the rows of tables that refer to it. Both are linear: what a
row adds depends on that row alone, so a change of it is what its new values add less what its old ones added.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

FieldType: TypeAlias = Literal[
    "text", "json", "date", "timestamp-millis", "timestamp-micros", "timestamp-nanos", "decimal"
]
"""How a column's value becomes the field's: `text` takes numbers and booleans as their JSON text, `json` passes on."""

FIELD_TYPES: tuple[FieldType, ...] = get_args(FieldType)


@dataclass(frozen=True, slots=True)
class Source:
    """A table and the topic that carries its changelog.

    Args:
        table: the table's name in the view.
        topic: its changelog's topic, unless the environment names another.
        key: the columns of its primary key.
    """

    table: str
    topic: str
    key: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Field:
    """One field of the record: a column of the record's own row.

    Args:
        key: what the record calls it.
        column: the column that it shows.
        type: how its value is read.
        scale: places of a decimal; of another type 0.
    """

    key: str
    column: str
    type: FieldType = "text"
    scale: int = 0


@dataclass(frozen=True, slots=True)
class Condition:
    """What a column of a row must be for the row to be aggregated.

    A value compares as its JSON text: 5 and "5" are equal, and so are true and "true".

    Args:
        column: the column.
        texts: the texts that a value is compared with.
        negated: False: a value must be one of them; True: it must be none of them.
        accepts_null: whether a null satisfies it.
    """

    column: str
    texts: frozenset[str]
    negated: bool = False
    accepts_null: bool = False

    def holds(self, text: str | None) -> bool:
        """Return whether a column's value, as JSON text, satisfies it."""
        return self.accepts_null if text is None else (text in self.texts) is not self.negated


@dataclass(frozen=True, slots=True)
class Aggregate:
    """A count of rows that belong to the record, or a sum over one of their columns.

    Args:
        key: what the record calls it.
        table: whose rows are aggregated.
        owner: the column of these rows that holds the record's id; a row whose owner is null counts for nobody.
        conditions: all of them must hold for a row.
        column: the column that is summed; None: rows are counted.
        scale: places of the sum, which then is text; None: it is an integer.
    """

    key: str
    table: str
    owner: str
    conditions: tuple[Condition, ...] = ()
    column: str | None = None
    scale: int | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it reads, each once: the owner first."""
        read = [self.owner, *(condition.column for condition in self.conditions)]
        return tuple(dict.fromkeys(read if self.column is None else [*read, self.column]))


@dataclass(frozen=True, slots=True)
class View:
    """A whole view.

    Args:
        table: the table whose rows the records are.
        id_column: its column that identifies a row, and that owners of aggregated rows hold; its primary key.
        id_key: what the record calls it.
        fields: in the record's order.
        aggregates: in the record's order: first the counts, then the sums.
        sources: every table that is read, the record's own first, then in the order in which aggregates name them.
    """

    table: str
    id_column: str
    id_key: str
    fields: tuple[Field, ...]
    aggregates: tuple[Aggregate, ...]
    sources: tuple[Source, ...]

    @property
    def keys(self) -> tuple[str, ...]:
        """The record's keys, in its order."""
        return (self.id_key, *(field.key for field in self.fields), *(each.key for each in self.aggregates))

    def aggregates_of(self, table: str) -> Iterator[tuple[int, Aggregate]]:
        """Yield the aggregates over a table, each with its position in `aggregates`."""
        return ((position, each) for position, each in enumerate(self.aggregates) if each.table == table)

    def columns_of(self, source: Source) -> tuple[str, ...]:
        """Return the columns of a table that are read, each once: the key first, then as the record's keys come."""
        own = [field.column for field in self.fields] if source.table == self.table else []
        read = [column for _, each in self.aggregates_of(source.table) for column in each.columns]
        return tuple(dict.fromkeys([*source.key, *own, *read]))


def default_key(table: str) -> str:
    """Return the column that is a table's primary key unless the view names another."""
    return f"{table.removesuffix('s')}_id"


def topic_variable(table: str) -> str:
    """Return the environment variable that names a table's topic."""
    return f"{table.upper()}_TOPIC"


BUILT_IN = View(
    table="users",
    id_column="user_id",
    id_key="userId",
    fields=(
        Field("username", "username"),
        Field("name", "name"),
        Field("description", "description"),
        Field("location", "location"),
        Field("webPageUrl", "web_page_url"),
        Field("joinedDate", "joined_date"),
        Field("profileImageUrl", "profile_image_url"),
        Field("backgroundImageUrl", "background_image_url"),
    ),
    aggregates=(
        Aggregate("tweetCount", "tweets", "user_id"),
        Aggregate("followingCount", "follows", "follower_id"),
        Aggregate("followerCount", "follows", "followee_id"),
        Aggregate("likeCount", "likes", "user_id"),
    ),
    sources=tuple(Source(table, table, (default_key(table),)) for table in ("users", "tweets", "follows", "likes")),
)
"""The view where no file is given."""
