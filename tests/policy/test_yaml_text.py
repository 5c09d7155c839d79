"""What is written can be read, by people too."""

from datetime import UTC, datetime

import yaml
from hypothesis import given
from hypothesis import strategies as st

from authz.policy import yaml_text
from authz.policy.code import writing
from authz.policy.roles_file import BindingEntry, RolesFile

WORDS = st.text(st.characters(blacklist_categories=["Cs"]), max_size=300)
DOCUMENTS = st.dictionaries(
    WORDS,
    st.recursive(
        WORDS | st.integers() | st.booleans() | st.none(),
        lambda it: st.lists(it, max_size=5) | st.dictionaries(WORDS, it, max_size=3),
        max_leaves=20,
    ),
    max_size=4,
)


@given(DOCUMENTS)
def test_whatever_is_written_is_read_again(document):
    assert yaml.safe_load(yaml_text.write(document)) == document


def test_members_keep_their_order_and_lists_of_words_their_line():
    assert yaml_text.write({"b": ["x", "y"], "a": {"z": 1}}) == "b: [x, y]\na: {z: 1}\n"


def test_what_people_write_stays_readable():
    """libyaml would escape the last of them."""
    words = ["Köln", "漢字", "on", "it's", "🎉 party"]
    text = yaml_text.write({"a": words})
    assert "🎉 party" in text
    assert text == "a: [Köln, 漢字, 'on', it's, 🎉 party]\n"


def test_what_comes_back_counts_more_than_how_it_looks():
    """Python's emitter would make a space of U+0085."""
    document = {"a": "🎉\x85"}
    assert yaml.safe_load(yaml_text.write(document)) == document


def test_a_version_is_spelled_as_before_it_was_written_quickly():
    """Another spelling would be a version of policy that nobody made."""
    many = {"bindings": [{"role": "r", "users": [f"person{n}@example.com" for n in range(100)]}]}
    assert yaml_text.write(many) == yaml.safe_dump(
        many, sort_keys=False, default_flow_style=None, allow_unicode=True, width=120
    )


def test_a_list_is_written_an_item_at_a_time_as_if_at_once():
    bindings = tuple(
        BindingEntry(
            f"role-{n}",
            users=frozenset(f"person{i}@example.com" for i in range(n * 300)),
            groups=frozenset({"Alle: Köln", "on", "x" * 150}),
            until=datetime(2027, 1, n + 1, tzinfo=UTC) if n else None,
        )
        for n in range(4)
    )
    texts = writing.write({}, RolesFile({}, bindings))
    assert texts.keys() == {"roles.yaml", "bindings.yaml"}
    assert len(yaml.safe_load(texts["bindings.yaml"])["bindings"]) > len(bindings)
    for text in texts.values():
        assert yaml_text.write(yaml.safe_load(text)) == text
