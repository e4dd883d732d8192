"""Whatever text a property is, the file that is written says it, in ASCII alone."""

from hypothesis import given
from hypothesis import strategies as st

from stack.servers.properties_file import parse_properties, render_properties

TEXT = st.text(
    st.sampled_from("\\=:#! \t\n\r\f\x00\x85\u2028ab/u0041tü中😀'\"%,$") | st.characters(exclude_categories=["Cs"])
)


@given(st.dictionaries(TEXT, TEXT, max_size=4))
def test_a_file_says_what_was_put_into_it(properties: dict[str, str]) -> None:
    """One line for each property, whatever line ends its text has."""
    file = render_properties(properties)
    assert file.isascii()
    assert len(properties) == len(file.splitlines())
    assert properties == parse_properties(file)
