"""Targets: what identity providers, and whoever stands between, send to a SAML service provider.

Nobody who fuzzes has the key. So whatever is accepted is the one assertion that was signed, however it was wrapped.
"""

import base64

from authz.federation.saml import read_idp_metadata
from tests.support.configured import NOW, fixed_key
from tests.support.saml_idp import (
    MORE,
    A,
    D,
    How,
    Said,
    SamlIdp,
    X,
    etree,
    sealed,
)
from tests.support.saml_sp import Connection, encryption, our_key

_IDP = SamlIdp(key=fixed_key(3).private_key)
_HOW = How(method=f"{MORE}ecdsa-sha256")
_BY_ASSERTION = Connection(_IDP, encryption())
_BY_RESPONSE = _BY_ASSERTION.with_settings(signed="response")
_SAID = Said(attributes={"groups": ["dev", "ops"], "mail": ["ada@corp.example"]})
_WANTED = frozenset({"groups"})


def response(data: bytes) -> None:
    """ATK-30, ATK-31, ATK-34: an answer is who was signed, or nobody."""
    sent = base64.b64encode(data).decode()
    by_response = data.endswith(b" ")
    connection = _BY_RESPONSE if by_response else _BY_ASSERTION
    finished = connection.finish(sent, wants=_WANTED)
    assert finished.identity.subject.endswith(',"ada-7"]')
    assert finished.identity.claims == {"groups": ("dev", "ops")}
    assert finished.once is not None


def metadata(data: bytes) -> None:
    """SAML-09: what is imported could have been written by hand."""
    found = read_idp_metadata(data, NOW)
    assert found.sso_url.startswith(
        ("https://", "http://127.0.0.1", "http://localhost", "http://[")
    )
    assert found.entity_id.isprintable()
    assert found.certificates
    assert set(found.members) == {"entity_id", "sso_url", "certificates"}


def _response(*signs: str) -> bytes:
    root = _IDP.response(_BY_ASSERTION.upstream, _SAID)
    _IDP.sign_parts(root, signs, _HOW)
    return bytes(etree.tostring(root))


def _encrypted() -> bytes:
    """In the right shape, with nothing behind it: what is random would be another input in each run."""
    root = _IDP.response(_BY_ASSERTION.upstream, _SAID)
    outer = sealed(b"<x/>", our_key().public_key())
    for value in outer.iter(f"{X}CipherValue"):
        value.text = base64.b64encode(bytes(256)).decode()
    root.replace(root.find(f"{A}Assertion"), outer)
    return bytes(etree.tostring(root))


def _with_eve() -> bytes:
    """A signed assertion, and an unsigned one for whoever moves things about."""
    root = etree.fromstring(_response("assertion", "response"))
    eve = etree.fromstring(etree.tostring(root.find(f"{A}Assertion")))
    eve.remove(eve.find(f"{D}Signature"))
    eve.set("ID", "_eve")
    eve.find(f".//{A}NameID").text = "eve"
    root.append(eve)
    return bytes(etree.tostring(root))


RESPONSES = (
    _response("assertion"),
    _response("assertion", "response"),
    _response("response") + b" ",
    _response(),
    _encrypted(),
    _with_eve(),
)
METADATA = (
    _IDP.metadata(),
    _IDP.metadata().replace(b"ID=", b"validUntil='2026-02-01T00:00:00Z' ID="),
)
