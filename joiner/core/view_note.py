"""What the ledger notes of the view that a state was joined for, and in what two views differ.

States hold values without their names, so the order of a record's keys matters. Topics do not belong to a view here:
the ledger notes their identities. Pure.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from joiner.core.view_report import describe_keys
from shared.view.model import BUILT_IN, Aggregate, Condition, Field, Source, View

_AS = " as "

_MOST_SHOWN = 5
"""How many differences a message shows."""


def encode_view(view: View) -> dict[str, Any]:
    """Return what is noted of a view, as JSON has it; `decode_view` reads it.

    Earlier versions knew fields and nothing else. What they wrote for a view that has all else in common with the
    built-in one is written still, so that they and this version go on with each other's state; of any other view they
    find fields that they do not have.
    """
    if _has_only_other_texts(view):
        return {"fields": [f"{field.column}{_AS}{field.key}" for field in view.fields]}
    return {
        "fields": view.keys,
        "view": {
            "record": [view.table, view.id_column, view.id_key],
            "fields": [[each.key, each.column, each.type, each.scale] for each in view.fields],
            "aggregates": [
                [
                    each.key,
                    each.table,
                    each.owner,
                    each.column,
                    each.scale,
                    list(map(_encode_condition, each.conditions)),
                ]
                for each in view.aggregates
            ],
            "keys": [[source.table, source.key] for source in view.sources],
        },
    }


def _has_only_other_texts(view: View) -> bool:
    """Return whether a view has fields of its own, all of them text, and all else as the built-in one."""
    texts = all(each.type == "text" and _AS not in each.column + each.key for each in view.fields)
    return texts and _is_same(replace(BUILT_IN, fields=view.fields), view)


def _encode_condition(condition: Condition) -> list[Any]:
    return [condition.column, sorted(condition.texts), condition.negated, condition.accepts_null]


def decode_view(document: Mapping[str, Any]) -> View:
    """Return the view that `encode_view` noted; its topics are called as its tables."""
    noted = document.get("view")
    if noted is None:
        pairs = [each.split(_AS) for each in document.get("fields", ())]
        fields = tuple(Field(key, column) for column, key in pairs)
        return replace(BUILT_IN, fields=fields) if "fields" in document else BUILT_IN
    table, id_column, id_key = noted["record"]
    return View(
        table=table,
        id_column=id_column,
        id_key=id_key,
        fields=tuple(Field(*each) for each in noted["fields"]),
        aggregates=tuple(
            Aggregate(key, of, owner, tuple(map(_decode_condition, conditions)), column, scale)
            for key, of, owner, column, scale, conditions in noted["aggregates"]
        ),
        sources=tuple(Source(name, name, tuple(key)) for name, key in noted["keys"]),
    )


def _decode_condition(noted: list[Any]) -> Condition:
    column, texts, negated, accepts_null = noted
    return Condition(column, frozenset(texts), negated, accepts_null)


def _is_same(one: View, other: View) -> bool:
    return _without_topics(one) == _without_topics(other)


def _without_topics(view: View) -> View:
    sources = sorted((Source(each.table, each.table, each.key) for each in view.sources), key=lambda each: each.table)
    return replace(view, sources=tuple(sources))


def find_other_view(noted: View, found: View) -> Iterator[str]:
    """Yield as a message in what the view of a state and another one differ; nothing if they are the same.

    Args:
        noted: the view that the state was joined for.
        found: the view that is to be joined.
    """
    if _is_same(noted, found):
        return
    before, now = list(_describe(noted)), list(_describe(found))
    gone = [each for each in before if each not in now]
    new = [each for each in now if each not in before]
    if not gone and not new:
        yield "the state was joined for another view: its keys or conditions stand in another order"
        return
    yield f"the state was joined for another view: there {_list(gone)}, here {_list(new)}"


def _describe(view: View) -> Iterator[str]:
    yield from (f"{key} is {what}" for key, what in describe_keys(view))
    yield from (f"the key of {source.table} is {', '.join(source.key)}" for source in view.sources)


def _list(descriptions: list[str]) -> str:
    shown = "; ".join(descriptions[:_MOST_SHOWN]) or "is nothing in place of it"
    return shown + (f"; and {len(descriptions) - _MOST_SHOWN} more" if len(descriptions) > _MOST_SHOWN else "")
