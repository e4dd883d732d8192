"""What a view asks of the joiner, compiled once: what is kept of each table's rows, and which aggregates they add to.

A row costs what its own table needs: where rows are only counted, nothing but their owners is read. Pure: knows neither
the bytes of records nor states.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any, NamedTuple

from orjson import Fragment

from joiner.core.numbers import format_units
from shared.unavailable import DEFAULT_PLACEHOLDER, Placeholder
from shared.view.model import Aggregate, Condition, Field, View


class Term(NamedTuple):
    """What one aggregate reads of a row; positions are those of the table's columns.

    Args:
        aggregate: the aggregate's position in the record.
        owner: where the owner is.
        conditions: where each condition's column is, and the condition.
        summed: where the summed column is; None: rows are counted.
        scale: decimal places of the sum, which is kept in units of the last one.
    """

    aggregate: int
    owner: int
    conditions: tuple[tuple[int, Condition], ...] = ()
    summed: int | None = None
    scale: int = 0


@dataclass(frozen=True, slots=True)
class Table:
    """One source table as the view reads it.

    Args:
        name: the table's name.
        key: the columns of its primary key.
        owners: the columns that name the users whose aggregates the row adds to.
        others: further columns that conditions and sums read.
        terms: what the row adds to.
        fields: the fields of its row's record; None: its rows are no users.
        placeholder: what stands for a value that the source left out.
    """

    name: str
    key: tuple[str, ...]
    owners: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    terms: tuple[Term, ...] = ()
    fields: tuple[Field, ...] | None = None
    placeholder: Placeholder = DEFAULT_PLACEHOLDER

    primary_key: str = field(init=False)
    """The first column of the primary key."""
    only_key: str | None = field(init=False)
    """The column of the primary key; None where it has several."""
    columns: tuple[str, ...] = field(init=False)
    """What is kept of a row, in this order; nothing of a table that no aggregate is over."""
    reads: tuple[str, ...] = field(init=False)
    """Every column that is read."""
    plain_counts: tuple[tuple[int, int], ...] = field(init=False)
    """(Place of the owner, place of the count), where nothing but owners matters and rows are no users; else ()."""
    field_columns: tuple[str, ...] = field(init=False)
    """The columns of the fields, in their order."""
    has_texts: bool = field(init=False)
    """True where all fields are text."""

    def __post_init__(self) -> None:
        columns = (*self.owners, *self.others)
        field_columns = tuple(each.column for each in self.fields or ())
        is_plain = self.fields is None and all(not term.conditions and term.summed is None for term in self.terms)
        derived = {
            "primary_key": self.key[0],
            "only_key": self.key[0] if len(self.key) == 1 else None,
            "columns": columns,
            "reads": tuple(dict.fromkeys((*self.key, *columns, *field_columns))),
            "plain_counts": tuple((term.owner, term.aggregate) for term in self.terms if is_plain),
            "field_columns": field_columns,
            "has_texts": all(each.type == "text" for each in self.fields or ()),
        }
        for name, value in derived.items():
            object.__setattr__(self, name, value)


@dataclass(frozen=True, slots=True)
class Plan:
    """A view, compiled.

    Args:
        view: the view.
        tables: the tables that it reads, by name.
        keys: the record's keys, in its order.
        writers: (position in the record, what writes the value there), for values that JSON has otherwise than states.
    """

    view: View
    tables: Mapping[str, Table]
    keys: tuple[str, ...]
    writers: tuple[tuple[int, Callable[[Any], Any]], ...]


@lru_cache(maxsize=8)
def compile_view(view: View, placeholder: Placeholder = DEFAULT_PLACEHOLDER) -> Plan:
    """Return what a view asks of the joiner.

    Args:
        view: the view.
        placeholder: what stands for a value that the source left out.
    """
    tables = {table.name: table for table in _compile_tables(view, placeholder)}
    return Plan(view, tables, view.keys, tuple(_choose_writers(view)))


def _compile_tables(view: View, placeholder: Placeholder) -> Iterator[Table]:
    for source in view.sources:
        aggregates = dict(view.aggregates_of(source.table))
        owners = tuple(dict.fromkeys(each.owner for each in aggregates.values()))
        others = tuple(column for column in _find_others(aggregates.values()) if column not in owners)
        places = {column: place for place, column in enumerate((*owners, *others))}
        yield Table(
            name=source.table,
            key=source.key,
            owners=owners,
            others=others,
            terms=tuple(_compile_term(position, each, places) for position, each in aggregates.items()),
            fields=view.fields if source.table == view.table else None,
            placeholder=placeholder,
        )


def _find_others(aggregates: Iterable[Aggregate]) -> Iterable[str]:
    """Return the columns of conditions, then those of sums, each once."""
    conditions = [condition.column for each in aggregates for condition in each.conditions]
    return dict.fromkeys([*conditions, *(each.column for each in aggregates if each.column is not None)])


def _compile_term(position: int, aggregate: Aggregate, places: Mapping[str, int]) -> Term:
    return Term(
        position,
        places[aggregate.owner],
        tuple((places[condition.column], condition) for condition in aggregate.conditions),
        None if aggregate.column is None else places[aggregate.column],
        aggregate.scale or 0,
    )


def _choose_writers(view: View) -> Iterator[tuple[int, Callable[[Any], Any]]]:
    places = {key: place for place, key in enumerate(view.keys)}
    for each in view.fields:
        if each.type == "json":
            yield places[each.key], Fragment
    for aggregate in view.aggregates:
        if aggregate.scale is not None:
            yield places[aggregate.key], partial(format_units, scale=aggregate.scale)
        elif aggregate.column is not None:
            yield places[aggregate.key], _write_integer


def _write_integer(number: int) -> Fragment:
    """Return an integer as JSON, however large it is."""
    return Fragment(str(number))
