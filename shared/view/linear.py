"""Why some aggregates are not to be had: each would need more of its rows than what one row adds or takes away.

Knows the words in which people ask for them, and what to write instead.
"""

_REFUSED = {
    ("when the row that has it goes, no other row tells which is next", "declare a count or a sum"): (
        "min max minimum maximum minima maxima first last newest oldest"
    ),
    ("it is a sum divided by a count", "declare both, and divide where it is shown"): "avg average mean",
    ("it depends on the order of all rows", "declare counts, with where"): (
        "median percentile rank order order_by sort limit top"
    ),
    ("whether a row adds to it depends on the other rows", "count a table that has one row for each value"): (
        "distinct unique count_distinct"
    ),
    (
        "a row must hold its owner itself",
        "copy the owner's id into a column of this table",
    ): "join via through on using",
    ("a record has one number for it", "declare a count or a sum for each group, with where"): (
        "group group_by having partition"
    ),
    ("it is no sum of what each row adds by itself", "declare a count or a sum"): (
        "product ratio variance stddev array concat string_agg array_agg json_agg"
    ),
}
"""Why, and what to do instead -> the words in which people ask for it."""


def explain_refusal(word: str) -> tuple[str, str] | None:
    """Return why a view cannot have what a word asks for, and what to do instead; None if it asks for nothing such.

    Args:
        word: the name of a section, or of a key in one, as in ``[averages]`` or ``distinct =``.
    """
    plain = word.lower().replace("-", "_")
    return next(
        (refused for refused, words in _REFUSED.items() if {plain, plain.removesuffix("s")} & {*words.split()}), None
    )
