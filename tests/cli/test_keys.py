"""`authz keys`: a key-encryption key that replaces another, as an operator does it (V5)."""

from authz.envelope import Envelope, new_encoded_key
from tests.cli.conftest import Cli


def with_keys(made, own, *further):
    """The same installation, started with other key-encryption keys."""
    found = {"AUTHZ__KEYS__ENCRYPTION_KEY": f"file:{own}"}
    if further:
        named = ",".join(f"file:{it}" for it in further)
        found["AUTHZ__KEYS__FURTHER_ENCRYPTION_KEYS"] = f"[{named}]"
    return Cli(made.config, environment=found)


def test_a_key_encryption_key_is_replaced_while_nothing_stops(empty):
    empty.run("db", "upgrade")
    empty.run("tenants", "add", "other")
    old = empty.config.parent / "authz.key"
    new = empty.config.parent / "new.key"
    new.write_bytes(new_encoded_key())
    name = Envelope(new.read_bytes()).name

    first = with_keys(empty, old, new).json("keys", "rewrap")
    assert first["moved"] == []  # known to every node before it seals

    done = with_keys(empty, new, old).json("keys", "rewrap")
    assert done["key_encryption_key"] == name
    assert [it["tenant"] for it in sorted(done["moved"], key=lambda it: it["tenant"])] == [
        "default",
        "other",
    ]
    assert set(done["used"]) == {name}

    alone = with_keys(empty, new)
    assert "further_encryption_keys may be emptied" in alone.run("keys", "rewrap").out
    assert alone.json("keys", "rotate", "--now")["activate_at"]
    refused = with_keys(empty, old).run("keys", "rotate", "--now", code=3)
    assert name in refused.err
