"""What an operator may write about a trusted issuer, and what it comes to (IDJAG-53, -80)."""

from dataclasses import replace
from datetime import timedelta

import pytest

from authz.errors import Invalid
from authz.jose import ASYMMETRIC
from authz.oauth.trust import Trust, Trusts, TrustSettings, check_settings, check_url, settings_of
from authz.urls import UrlError
from tests.support.configured import fixed_key

URI = {"jwks_uri": "https://idp.example/jwks"}
PINNED = {"keys": [{**fixed_key().as_dict(private=False), "alg": "ES256", "kid": "k1"}]}
ENTRY = Trust("trs_1", "corp", "id_jag", "con_1", "https://idp.example", TrustSettings())
LISTS = ("algorithms", "tenants", "clients", "resources", "scope_ceiling")


def test_what_is_left_out_is_as_narrow_as_can_be():
    settings = check_settings(URI)
    assert settings == TrustSettings(
        jwks_uri="https://idp.example/jwks",
        algorithms=("ES256", "RS256", "PS256", "EdDSA"),
        max_lifetime_seconds=900,
        assertion_reuse="deny",
    )
    assert not settings.allow_public_cimd_clients
    assert not settings.strict_subset
    assert settings.as_json() == URI


def test_what_is_written_is_what_is_stored():
    """And read again as it was."""
    given = {
        "jwks": PINNED,
        "algorithms": ["ES256"],
        "tenants": ["t1"],
        "clients": ["cli_1"],
        "resources": ["https://mcp.example/mcp"],
        "scope_ceiling": ["logs.read", "logs.write"],
        "max_lifetime_seconds": 60,
        "assertion_reuse": "until_exp",
        "strict_subset": True,
    }
    settings = check_settings(given)
    assert settings.as_json() == given
    assert settings_of(settings.as_json()) == settings
    assert settings.scope_ceiling == ("logs.read", "logs.write")
    trust = Trust("trs_1", "corp", "id_jag", "con_1", "https://idp.example", settings)
    assert trust.max_lifetime == timedelta(seconds=60)
    assert trust.scope_ceiling == {"logs.read", "logs.write"}
    assert replace(trust, settings=TrustSettings()).scope_ceiling is None
    assert replace(trust, settings=TrustSettings(scope_ceiling=())).scope_ceiling == frozenset()


WRONG = [
    ("", "'a' is no setting", {**URI, "b": 1, "a": 1}),
    ("jwks_uri", "pinned keys", {}),
    ("jwks_uri", "pinned keys", {**URI, "jwks": PINNED}),
    ("jwks", "no set of public keys: ", {"jwks": {"keys": "x"}}),
    ("jwks_uri", "jwks_uri of a trusted issuer is an https URL", {"jwks_uri": 7}),
    (
        "jwks_uri",
        "jwks_uri 'http://idp.example/jwks' is not an https",
        {"jwks_uri": "http://idp.example/jwks"},
    ),
    ("jwks_uri", "jwks_uri", {"jwks_uri": "ftp://localhost/jwks"}),
    ("jwks_uri", "jwks_uri", {"jwks_uri": "https://user@idp.example/"}),
    ("algorithms", "algorithms of", {**URI, "algorithms": []}),
    ("algorithms", "algorithms of", {**URI, "algorithms": ["ES256", "HS256"]}),
    (
        "max_lifetime_seconds",
        "max_lifetime_seconds of a trusted issuer is 1 to 3600",
        {**URI, "max_lifetime_seconds": 0},
    ),
    ("max_lifetime_seconds", "max_lifetime_seconds", {**URI, "max_lifetime_seconds": 3601}),
    ("max_lifetime_seconds", "max_lifetime_seconds", {**URI, "max_lifetime_seconds": True}),
    ("max_lifetime_seconds", "max_lifetime_seconds", {**URI, "max_lifetime_seconds": 60.0}),
    ("assertion_reuse", "assertion_reuse", {**URI, "assertion_reuse": "always"}),
    (
        "allow_public_cimd_clients",
        "goes with single use",
        {**URI, "allow_public_cimd_clients": True, "assertion_reuse": "until_exp"},
    ),
    ("scope_ceiling", "'a b' in scope_ceiling", {**URI, "scope_ceiling": ["ok", "a b"]}),
    ("scope_ceiling", "in scope_ceiling", {**URI, "scope_ceiling": ['a"']}),
    *(
        ("subject", "is one of sub, saml_nameid", {**URI, "subject": value})
        for value in ("email", "", "SUB", 7)
    ),
    *(
        ("saml_issuer", "is an entity id", {**URI, "saml_issuer": value})
        for value in ("", 7, "x" * 2049, "a\n")
    ),
    *(
        (name, f"{name} of a trusted issuer is true or false", {**URI, name: 1})
        for name in ("allow_public_cimd_clients", "strict_subset")
    ),
    *(
        (name, f"{name} of a trusted issuer is a list of text", {**URI, name: value})
        for name in LISTS
        for value in ("x", [1], [""], ["a\n"], ["x" * 2049], ["x"] * 201)
    ),
]


@pytest.mark.parametrize(("field", "sentence", "given"), WRONG)
def test_what_may_not_be_written(field, sentence, given):
    with pytest.raises(Invalid) as refusal:
        check_settings(given)
    assert sentence in str(refusal.value)
    assert refusal.value.field == field


@pytest.mark.parametrize(
    "given",
    [
        {"max_lifetime_seconds": 1},
        {"max_lifetime_seconds": 3600},
        {"clients": ["x" * 2048]},
        {"clients": ["x"] * 200},
        {"scope_ceiling": []},
        {"subject": "sub"},
        {"subject": "saml_nameid", "saml_issuer": "x" * 2048},
        {"allow_public_cimd_clients": True},
        {"jwks_uri": "http://localhost:8/jwks"},
        {"jwks_uri": "http://127.0.0.1/jwks"},
        {"algorithms": ["EdDSA"]},
        {"algorithms": list(ASYMMETRIC)},
    ],
)
def test_what_may_just_be_written(given):
    settings = check_settings({**URI, **given})
    for name, value in given.items():
        assert getattr(settings, name) == (tuple(value) if isinstance(value, list) else value)


def test_a_pinned_key_fits_an_algorithm():
    """IDJAG-53: one that no algorithm can use is no key."""
    with pytest.raises(Invalid, match="no set of public keys"):
        check_settings({"jwks": PINNED, "algorithms": ["RS256"]})


def test_an_address_is_called_by_its_member():
    with pytest.raises(
        Invalid, match=r"^events_uri 'http://a.example' is not an https URL; use one$"
    ) as refusal:
        check_url("events_uri", "http://a.example")
    assert refusal.value.field == "events_uri"
    check_url("events_uri", "https://a.example/x")


def test_an_entry_reads_its_keys_and_its_servers_once():
    """IDJAG-53, IDJAG-80: pinned keys as what they may sign with, servers in the one spelling that is compared."""
    settings = check_settings({"jwks": PINNED, "algorithms": ["ES256"]})
    pinned = replace(ENTRY, settings=settings)
    [key] = pinned.pinned_keys
    assert (key.kid, key.alg) == ("k1", "ES256")
    assert pinned.pinned_keys is pinned.pinned_keys
    assert replace(ENTRY, settings=TrustSettings(**URI)).pinned_keys is None
    both = TrustSettings(**URI, resources=("https://MCP.example:443/mcp", "https://b.example"))
    assert replace(ENTRY, settings=both).resources == (
        "https://mcp.example/mcp",
        "https://b.example",
    )
    assert ENTRY.resources == ()
    odd = replace(ENTRY, settings=TrustSettings(**URI, resources=("x",)))
    with pytest.raises(UrlError):
        _ = odd.resources


def test_issuers_are_compared_as_text():
    """IDJAG-02."""
    trust = Trust("trs_1", "corp", "id_jag", "con_1", "https://idp.example", TrustSettings())
    trusts = Trusts({"https://idp.example": (trust,)})
    assert trusts.of("https://idp.example") == (trust,)
    assert trusts.of("https://idp.example/") == trusts.of(None) == trusts.of(["x"]) == ()
    assert Trusts().of("https://idp.example") == ()
