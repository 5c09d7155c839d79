"""More parts are read only where a caller says so."""

import json

import pytest

from authz.net.strict_json import NotStrict, read_object


def test_the_bound_is_the_callers():
    body = json.dumps({"groups": ["g"] * 50_000}).encode()
    with pytest.raises(NotStrict, match="too many parts"):
        read_object(body)
    assert len(read_object(body, max_parts=60_000)["groups"]) == 50_000
    with pytest.raises(NotStrict, match="too many parts"):
        read_object(body, max_parts=49_000)


@pytest.mark.parametrize(
    "body", [b'{"a":' * 30 + b"1" + b"}" * 30, b'{"a":1,"a":1}', b"[]", b'{"a":NaN}']
)
def test_nothing_else_gets_looser(body):
    with pytest.raises(NotStrict):
        read_object(body, max_parts=1_000_000)
