"""What a row's change does to aggregates: what the new row adds, less what the old one added.

Pure: knows neither the bytes of records nor users' states.
"""

from collections.abc import Iterator

from joiner.core.columns import Values, complete
from joiner.core.numbers import parse_units
from joiner.core.plan import Table, Term
from joiner.core.values import SENDING_DECIMALS
from shared.errors import BadRow


def diff_owners(table: Table, old: Values | None, new: Values | None) -> Iterator[tuple[str, int, int]]:
    """Yield what a row's change does to counts where only owners matter: new owners minus old owners.

    Args:
        table: whose row it is; it has `plain_counts`.
        old: the row's owners so far; None: the row is not known.
        new: its owners now; None: the row is gone.

    Yields:
        (user id, position of the count in the record, difference); nothing for an owner who stays.
    """
    for position, aggregate in table.plain_counts:
        before = old[position] if old is not None else None
        after = new[position] if new is not None else None
        if before != after:
            if before is not None:
                yield before, aggregate, -1
            if after is not None:
                yield after, aggregate, 1


def diff_terms(table: Table, old: Values | None, new: Values | None) -> list[tuple[str, int, int]]:
    """Return what a row's change does to counts and sums of any kind: what it adds now less what it added before.

    Args:
        table: whose row it is.
        old: the row's columns so far; None: the row is not known.
        new: its columns now; None: the row is gone.

    Returns:
        (user id, position of the aggregate in the record, difference), a sum's in units of its last place; nothing for
        an aggregate that stays as it is.

    Raises:
        BadRow: a value that is to be summed is no number that the sum can hold.
    """
    differences = []
    for term in table.terms if old != new else ():
        before, taken = _contribute(table, term, old)
        after, given = _contribute(table, term, new)
        if before == after:
            taken, given = 0, given - taken
        if taken and before is not None:
            differences.append((before, term.aggregate, -taken))
        if given and after is not None:
            differences.append((after, term.aggregate, given))
    return differences


def check_sums(table: Table, values: Values | None) -> None:
    """Make sure that what a row holds can be summed, as far as that can be told without what is known of the row.

    Args:
        table: whose row it is.
        values: as the row was read; None: it is gone.

    Raises:
        BadRow: a value that is to be summed is no number that the sum can hold.
    """
    if values is not None:
        diff_terms(table, None, complete(values, None))


def _contribute(table: Table, term: Term, values: Values | None) -> tuple[str | None, int]:
    """Return (user id, what a row adds to an aggregate of that user); (None, 0) if it adds to nobody's."""
    owner = None if values is None else values[term.owner]
    if values is None or owner is None:
        return None, 0
    for position, condition in term.conditions:
        if not condition.holds(values[position]):
            return None, 0
    if term.summed is None:
        return owner, 1
    text = values[term.summed]
    try:
        return owner, 0 if text is None else parse_units(text, term.scale)
    except ValueError as error:
        column = table.columns[term.summed]
        detail = f"the column {column} cannot be summed: it holds {text!r:.40}, {error}; {SENDING_DECIMALS}"
        raise BadRow("bad-value", detail) from None
