"""A view's file: what each word of the grammar means, and what a person is told about one that is wrong."""

import re
from pathlib import Path

import pytest

from shared.errors import ViewError
from shared.view.file import parse_view, read_view
from shared.view.model import Aggregate, Condition, Field, Source, View

RECORD = '[record]\nof = "users"\nid = "user_id"\nas = "userId"\n'
FIELDS = RECORD + "[fields]\n"
COUNTS = RECORD + "[counts]\n"
SUMS = RECORD + "[sums]\n"
ORDERS = 'of = "orders", by = "user_id"'
TABLES = COUNTS + f"n = {{ {ORDERS} }}\n[tables]\n"


def test_the_grammar_of_the_contract_is_read() -> None:
    """Every section, in the order of the record's keys; a table's topic and key have defaults."""
    text = """
    [record]
    of = "users"
    id = "user_id"
    as = "userId"

    [sums]
    spentCents = { of = "orders", by = "account_id", column = "amount_cents", where = { status = "paid" } }
    spent = { of = "orders", by = "account_id", column = "amount", scale = 2 }

    [counts]
    tweetCount = { of = "tweets", by = "user_id" }

    [counts.openOrderCount]
    of = "orders"
    by = "account_id"
    where = { status = ["open", "paid"], cancelled_at = { null = true } }

    [fields]
    username = "username"
    joinedDate = { column = "joined_date", type = "timestamp-micros" }
    balance = { column = "balance", type = "decimal", scale = 2 }

    [tables]
    orders = { topic = "shop.public.orders", key = ["order_id", "line"] }
    """
    paid = Condition("status", frozenset({"paid"}))
    open_or_paid = Condition("status", frozenset({"open", "paid"}))
    assert View(
        table="users",
        id_column="user_id",
        id_key="userId",
        fields=(
            Field("username", "username"),
            Field("joinedDate", "joined_date", "timestamp-micros"),
            Field("balance", "balance", "decimal", 2),
        ),
        aggregates=(
            Aggregate("tweetCount", "tweets", "user_id"),
            Aggregate(
                "openOrderCount",
                "orders",
                "account_id",
                (open_or_paid, Condition("cancelled_at", frozenset(), accepts_null=True)),
            ),
            Aggregate("spentCents", "orders", "account_id", (paid,), "amount_cents"),
            Aggregate("spent", "orders", "account_id", (), "amount", 2),
        ),
        sources=(
            Source("users", "users", ("user_id",)),
            Source("tweets", "tweets", ("tweet_id",)),
            Source("orders", "shop.public.orders", ("order_id", "line")),
        ),
    ) == parse_view(text)


@pytest.mark.parametrize(
    ("where", "condition"),
    [
        ('"a"', Condition("c", frozenset({"a"}))),
        ("5", Condition("c", frozenset({"5"}))),
        ("true", Condition("c", frozenset({"true"}))),
        ('["a", 5, false]', Condition("c", frozenset({"a", "5", "false"}))),
        ("{ null = true }", Condition("c", frozenset(), accepts_null=True)),
        ("{ null = false }", Condition("c", frozenset(), negated=True)),
        ('{ not = "a" }', Condition("c", frozenset({"a"}), negated=True, accepts_null=True)),
        ('{ not = ["a", -1] }', Condition("c", frozenset({"a", "-1"}), negated=True, accepts_null=True)),
    ],
)
def test_a_condition_compares_json_texts(where: str, condition: Condition) -> None:
    """So 5 and "5" are one value; null has forms of its own, and satisfies every `not`."""
    view = parse_view(COUNTS + f"n = {{ {ORDERS}, where = {{ c = {where} }} }}")
    assert (condition,) == view.aggregates[0].conditions


def test_the_records_own_table_may_be_aggregated() -> None:
    """It is one source, and its key is the record's id."""
    view = parse_view(COUNTS + 'invited = { of = "users", by = "invited_by" }')
    assert (Source("users", "users", ("user_id",)),) == view.sources


def where(condition: str) -> str:
    """Return a file whose only condition is this one."""
    return COUNTS + f"n = {{ {ORDERS}, where = {condition} }}\n"


NAME = "write up to 63 ASCII letters, digits, _ and -, a letter or _ first"
TABLE = "write its plain name: up to 63 ASCII letters, digits and _; its topic is named in [tables]"
TYPES = "known are text, json, date, timestamp-millis, timestamp-micros, timestamp-nanos, decimal"
VALUES = "write text, an integer or a boolean, or a list of these; a date as text, as the row has it"
ONE_LINE = "write what is between { and } in one line, without a comma at its end"
LINEAR = "is not to be had: "
WRONG = [
    # sections
    (
        "",
        "[record] is missing",
        'write [record], and below it of = "users", id = "user_id", as = "userId" with the names of your table',
    ),
    (
        RECORD,
        "the record holds nothing but its id",
        "declare a field, a count or a sum in [fields], [counts] or [sums]",
    ),
    (
        RECORD + '[field]\nname = "name"',
        "[field] is not known",
        "write [fields]; known are [record], [fields], [counts], [sums], [tables]",
    ),
    (
        'name = "name"\n' + RECORD,
        "name is in no section",
        "write it below one of [record], [fields], [counts], [sums], [tables]",
    ),
    ('[[record]]\nof = "users"', "record is a list", "write a section, [record], once"),
    (
        RECORD + '[averages]\nprice = "price"',
        f"[averages] {LINEAR}it is a sum divided by a count",
        "declare both, and divide where it is shown",
    ),
    # the record
    (RECORD.replace('as = "userId"', ""), "[record] as: is missing", 'write as = "userId"'),
    (RECORD.replace("as =", "key ="), "[record] key: is not known", "known are of, id, as"),
    (
        RECORD.replace('"user_id"', '["shop", "user_id"]'),
        "[record] id: is a list; a record has one id",
        'write one column, such as id = "user_id"; owners hold its value',
    ),
    (RECORD.replace('"users"', '"shop.users"'), '[record] of: "shop.users" is no name of a table', TABLE),
    (
        RECORD.replace('"users"', '"user_info"'),
        '[record] of: "user_info" is reserved',
        "call it otherwise here, and name its topic in [tables]; USER_INFO_TOPIC is a setting",
    ),
    (RECORD.replace('"userId"', '"user id"'), "[record] as: 'user id' is no key of a record", NAME),
    # keys of the record
    (
        FIELDS + 'userId = "user_id"',
        "[fields] userId: is a key of the record already, in [record]",
        "give each key a name of its own",
    ),
    (
        FIELDS + f'total = "total"\n[counts]\ntotal = {{ {ORDERS} }}',
        "[counts] total: is a key of the record already, in [fields]",
        "give each key a name of its own",
    ),
    (
        COUNTS + f'total = {{ {ORDERS} }}\n[sums]\ntotal = {{ {ORDERS}, column = "amount" }}',
        "[sums] total: is a key of the record already, in [counts]",
        "give each key a name of its own",
    ),
    (
        FIELDS + '__v = "v"',
        '[fields] __v: "__v" is reserved',
        "begin it with a letter; keys that begin with __ are the service's",
    ),
    # fields
    (FIELDS + 'name = ""', "[fields] name: is an empty text", 'write a name, such as name = "a_column"'),
    (FIELDS + "name = 5", "[fields] name: is an integer", 'write a name, such as name = "a_column"'),
    (
        FIELDS + 'v = "__op"',
        '[fields] v: "__op" is reserved',
        "name a column of the table; Debezium adds those that begin with __",
    ),
    (
        FIELDS + f'v = "{"x" * 64}"',
        f"[fields] v: '{'x' * 64}' is no name of a column",
        "write 1 to 63 bytes of printable text",
    ),
    (
        FIELDS + 'name = { colum = "name" }',
        "[fields] name.colum: is not known",
        "write column; known are column, type, scale",
    ),
    (
        FIELDS + 'born = { column = "born", type = "dates" }',
        '[fields] born.type: "dates" is not known',
        f"write date; {TYPES}",
    ),
    (FIELDS + 'at = { column = "at", type = "timestamp" }', '[fields] at.type: "timestamp" is not known', TYPES),
    (
        FIELDS + 'price = { column = "price", type = "decimal" }',
        "[fields] price.scale: is missing",
        "write how many places the decimal has, such as scale = 2",
    ),
    (
        FIELDS + 'price = { column = "price", type = "decimal", scale = -1 }',
        "[fields] price.scale: is -1",
        "write a whole number from 0 to 1,000",
    ),
    (
        FIELDS + 'price = { column = "price", type = "decimal", scale = "2" }',
        '[fields] price.scale: is "2"',
        "write a whole number from 0 to 1,000",
    ),
    (
        FIELDS + 'price = { column = "price", scale = 2 }',
        "[fields] price.scale: has no meaning for the type text",
        'leave it out, or write type = "decimal"',
    ),
    # counts and sums
    (COUNTS + 'n = "orders"', '[counts] n: is "orders"', 'write a table, such as { of = "orders", by = "account_id" }'),
    (COUNTS + 'n = { of = "orders" }', "[counts] n.by: is missing", 'write by = "account_id"'),
    (
        COUNTS + 'n = { of = "orders", by = ["a", "b"] }',
        "[counts] n.by: is a list",
        'write a name, such as by = "account_id"',
    ),
    (
        COUNTS + f"n = {{ {ORDERS}, wher = {{ a = 1 }} }}",
        "[counts] n.wher: is not known",
        "write where; known are of, by, where",
    ),
    (COUNTS + 'n = { of = "order items", by = "a" }', '[counts] n.of: "order items" is no name of a table', TABLE),
    (
        COUNTS + f'n = {{ {ORDERS}, column = "amount" }}',
        "[counts] n.column: has no meaning for a count",
        "declare a sum in [sums], or leave it out",
    ),
    (SUMS + f"n = {{ {ORDERS} }}", "[sums] n.column: is missing", 'write column = "amount"'),
    (
        SUMS + f'n = {{ {ORDERS}, column = "amount", scale = 1001 }}',
        "[sums] n.scale: is 1001",
        "write a whole number from 0 to 1,000",
    ),
    (
        COUNTS + f'n = {{ {ORDERS}, distinct = "item_id" }}',
        f"[counts] n.distinct: {LINEAR}whether a row adds to it depends on the other rows",
        "count a table that has one row for each value",
    ),
    (
        COUNTS + f'n = {{ {ORDERS}, join = "items" }}',
        f"[counts] n.join: {LINEAR}a row must hold its owner itself",
        "copy the owner's id into a column of this table",
    ),
    (
        SUMS + f'n = {{ {ORDERS}, max = "amount" }}',
        f"[sums] n.max: {LINEAR}when the row that has it goes, no other row tells which is next",
        "declare a count or a sum",
    ),
    # where
    (where('"paid"'), '[counts] n.where: is "paid"', 'write a table, such as { status = "paid" }'),
    (where("{}"), "[counts] n.where: names no column", "leave where out, so that every row is taken"),
    (where("{ s = [] }"), "[counts] n.where.s: is an empty list", "name at least one value"),
    (
        where("{ s = [1, 1.5] }"),
        "[counts] n.where.s: is or holds a fraction, which has several texts",
        'write its digits as text, as the row has them, such as "1.50"',
    ),
    (
        where('{ s = ["paid", { null = true }] }'),
        "[counts] n.where.s: holds a table where a value belongs",
        "write { null = true } in place of the list, or { not = [ … ] } with the other values",
    ),
    (
        where("{ s = { not = { null = true } } }"),
        "[counts] n.where.s.not: holds a table where a value belongs",
        "write { null = false } for what is not null",
    ),
    (where("{ s = { not = [] } }"), "[counts] n.where.s.not: is an empty list", "name at least one value"),
    (where("{ s = { null = 1 } }"), "[counts] n.where.s.null: is an integer", "write true or false"),
    (
        where("{ s = { above = 5 } }"),
        "[counts] n.where.s.above: is not known",
        "known are null, not; other comparisons are not to be had",
    ),
    (
        where("{ s = { null = true, not = 5 } }"),
        "[counts] n.where.s: has 2 keys",
        "write either { null = true } or { not = … }",
    ),
    (where("{ s = 2024-02-29 }"), "[counts] n.where.s: is or holds a date or a time", VALUES),
    (where('{ s = [["paid"]] }'), "[counts] n.where.s: is or holds a list", VALUES),
    (
        where('{ s = "paid\\u0000" }'),
        "[counts] n.where.s: holds the character U+0000",
        "remove it; no text of PostgreSQL holds it",
    ),
    # tables
    (
        TABLES + 'order = { topic = "shop.orders" }',
        "[tables] order: is no table of this view",
        "write orders; known are users, orders",
    ),
    (
        TABLES + 'orders = "shop.orders"',
        '[tables] orders: is "shop.orders"',
        'write a table, such as { topic = "shop.public.orders", key = "order_id" }',
    ),
    (
        TABLES + 'orders = { topic = "shop orders" }',
        "[tables] orders.topic: 'shop orders' is no name of a topic",
        "write 1 to 249 ASCII letters, digits, dots, _ and -",
    ),
    (
        TABLES + 'orders = { topic = "users" }',
        '[tables] orders.topic: "users" is that of users already',
        "name the topic of this table alone",
    ),
    (
        TABLES + "orders = { key = [] }",
        "[tables] orders.key: is a list",
        'write a column or a list of different ones, such as key = "order_id" or key = ["order_id", "line"]',
    ),
    (
        TABLES + 'users = { key = ["shop", "user_id"] }',
        "[tables] users.key: is another than the record's id",
        "leave it out: [record] id is this table's key",
    ),
    (
        COUNTS + 'n = { of = "Users", by = "a" }',
        "[tables] Users: would share the variable USERS_TOPIC with users",
        "call one of them otherwise here, and name its topic in [tables]",
    ),
]


@pytest.mark.parametrize(("text", "what", "hint"), WRONG, ids=[what for _, what, _ in WRONG])
def test_a_wrong_view_is_refused_with_its_place_and_what_to_write(text: str, what: str, hint: str) -> None:
    """File, section and key, and the words that would be right."""
    with pytest.raises(ViewError) as refused:
        parse_view(text, "shop/view.toml")
    assert (f"shop/view.toml: {what}", hint) == (refused.value.what, refused.value.hint)


@pytest.mark.parametrize(
    ("text", "what", "hint"),
    [
        (
            FIELDS + 'name = "a"\nname = "b"',
            "line 7: [fields] name is there twice",
            "keep one of them, or give each its own name",
        ),
        (
            FIELDS + 'name = "a"\n[fields]\nold = "b"',
            "line 7: [fields] is there twice",
            "keep one of them, or give each its own name",
        ),
        (
            COUNTS + 'n = { of = "orders", of = "users" }',
            "line 6: [counts] of is there twice",
            "keep one of them, or give each its own name",
        ),
        (
            FIELDS + "name = name",
            "line 6: is not TOML: invalid value",
            'write text between quotation marks, and true and false in small letters, as in key = "text"',
        ),
        (
            COUNTS + 'n = { of = "orders",\n  by = "user_id" }',
            "line 6: is not TOML: invalid initial character for a key part",
            ONE_LINE,
        ),
        (COUNTS + 'n = { of = "orders"\n}', "line 6: is not TOML: unclosed inline table", ONE_LINE),
        (
            FIELDS + "name",
            "line 6: is not TOML: expected '=' after a key in a key/value pair",
            'write key = "text", or [section]',
        ),
        (
            RECORD + "[fields",
            "line 5: is not TOML: expected ']' at the end of a table declaration",
            "correct the line",
        ),
        (FIELDS + "name = " + "9" * 5_000, None, "correct the line"),
        (FIELDS + "name = " + "[" * 5_000, "line 6: is not TOML: maximum recursion depth exceeded", "correct the line"),
    ],
)
def test_what_is_no_toml_is_refused_with_its_line(text: str, what: str | None, hint: str) -> None:
    """A key twice, text without quotation marks, a table on several lines."""
    with pytest.raises(ViewError) as refused:
        parse_view(text)
    assert hint == refused.value.hint
    assert re.fullmatch(
        r"view\.toml, line 6: is not TOML: .*" if what is None else re.escape(f"view.toml, {what}"), refused.value.what
    )


def test_a_file_that_cannot_be_read_is_refused_with_its_path(tmp_path: Path) -> None:
    """It is missing, a folder, or not UTF-8."""
    with pytest.raises(ViewError) as refused:
        read_view(tmp_path)
    assert f"{tmp_path}: cannot be read: Is a directory" == refused.value.what
    file = tmp_path / "view.toml"
    with pytest.raises(ViewError) as refused:
        read_view(file)
    assert f"{file}: cannot be read: No such file or directory" == refused.value.what
    assert "correct USER_INFO_VIEW, or the file's rights; without the variable the built-in view is joined" == (
        refused.value.hint
    )
    file.write_bytes(FIELDS.encode() + b'name = "caf\xe9"')
    with pytest.raises(ViewError) as refused:
        read_view(file)
    assert (f"{file}, line 6: is not UTF-8", "save the file as UTF-8") == (refused.value.what, refused.value.hint)
