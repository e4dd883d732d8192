"""Java's properties files, as Java itself writes and reads them."""

import pytest

from stack.servers.properties_file import parse_properties, render_properties


@pytest.mark.parametrize(
    ("properties", "file"),
    [
        ({"listeners": "PLAINTEXT://127.0.0.1:9092"}, rb"listeners=PLAINTEXT\://127.0.0.1\:9092"),
        ({"log.dirs": "/tmp/中 ü"}, rb"log.dirs=/tmp/\u4e2d\ \u00fc"),  # noqa: S108 - a text
        ({"a": "😀"}, rb"a=\ud83d\ude00"),
        ({"a b": r" c:\data#1!"}, rb"a\ b=\ c\:\\data\#1\!"),
        ({"a": "x\r\ny\tz"}, rb"a=x\u000d\u000ay\u0009z"),
        ({"": ""}, b"="),
    ],
)
def test_java_reads_what_was_meant(properties: dict[str, str], file: bytes) -> None:
    """Java's own reader was given these files, and returned these properties."""
    assert file + b"\n" == render_properties(properties)
    assert properties == parse_properties(file)


@pytest.mark.parametrize(
    ("file", "properties"),
    [
        (b"# a comment\n! another\n\n  a = b \n", {"a": "b "}),
        (b"a:b\rc d\r\ne", {"a": "b", "c": "d", "e": ""}),
        (b"a=b=c\na=d", {"a": "d"}),
        (b"a=b,\\\n   c\\\\\nd=e", {"a": "b,c\\", "d": "e"}),
        (b"a=\\\n# no comment here", {"a": "# no comment here"}),
        (b"a=\xc3\xbc", {"a": "Ã¼"}),
        (rb"a=\q\t\u00fc", {"a": "q\tü"}),
    ],
)
def test_files_are_read_as_java_reads_them(file: bytes, properties: dict[str, str]) -> None:
    """Comments, blanks, separators, continued lines, escapes, and Latin-1 where people would expect UTF-8."""
    assert properties == parse_properties(file)
