"""What a registration request becomes, member by member (RFC 7591 §2, DCR-01 to -03, -06, -07, MCP-AS-89 to -93)."""

import json
import re
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz.clients.metadata import Rules
from authz.clients.registration import (
    AUTH_METHODS,
    GRANT_TYPES,
    check_update,
    client_information,
    registered_metadata,
    software_digest,
    uses_secret,
)
from authz.errors import (
    InvalidClientMetadata,
    InvalidRedirectUri,
    InvalidSoftwareStatement,
    OAuthError,
)
from authz.keys import describe, generate

RULES = Rules(private_schemes=frozenset({"cursor"}))
WEB, LOOPBACK, PRIVATE = "https://app.example/cb", "http://localhost:8787/cb", "cursor://host/cb"
PUBLIC = {"redirect_uris": [WEB], "token_endpoint_auth_method": "none"}
KEY = generate("ES256")
JWKS = {"keys": [describe(KEY, "ES256")[1]]}
PRIVATE_JWKS = {"keys": [KEY.as_dict(private=True)]}
DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
NEVER = (
    "client_credentials",
    DEVICE,
    "urn:ietf:params:oauth:grant-type:jwt-bearer",
    "urn:ietf:params:oauth:grant-type:token-exchange",
    "implicit",
    "password",
)
SAYABLE = re.compile(r"[\x20\x21\x23-\x5b\x5d-\x7e]+")


def registered(**members):
    return registered_metadata({**PUBLIC, **members}, RULES, is_invited=True)


def refusal(kind=OAuthError, **members):
    with pytest.raises(kind) as refused:
        registered(**members)
    assert SAYABLE.fullmatch(refused.value.description)
    return refused.value


def test_the_least_a_client_can_send():
    """RFC 7591 §2: who says nothing about it gets a secret, the code grant, and no refresh token."""
    assert registered_metadata({"redirect_uris": [WEB]}, RULES, is_invited=False) == {
        "redirect_uris": [WEB],
        "grant_types": ["authorization_code"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "client_secret_basic",
        "application_type": "web",
    }


def test_everything_that_is_known_is_registered_as_it_was_sent():
    """DCR-01."""
    sent = {
        "redirect_uris": [WEB],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "private_key_jwt",
        "token_endpoint_auth_signing_alg": "ES256",
        "application_type": "web",
        "client_name": "Étude",
        "client_uri": "https://app.example/",
        "logo_uri": "https://cdn.example/logo.png",
        "policy_uri": "https://app.example/privacy",
        "tos_uri": "https://app.example/terms",
        "jwks": JWKS,
        "scope": "logs.read logs.write",
        "software_id": "4NRB1-0XZABZI9E6-5SM3R",
        "software_version": "2.1",
    }
    assert registered_metadata(sent, RULES, is_invited=False) == sent


@pytest.mark.parametrize("name", ["client_name#fr", "subject_type", "client_id", "x" * 300])
def test_unknown_members_and_null_are_as_if_absent(name):
    """RFC 7591 §2: ignored; MCP-AS-93: never answered as null."""
    assert registered(**{name: {"a": [1]}}, client_name=None, jwks=None) == registered()
    assert None not in registered(client_uri=None).values()


# -- redirect URIs -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("declared", "uris", "type_"),
    [
        (None, [WEB], "web"),
        (None, [LOOPBACK], "native"),
        (None, ["http://127.0.0.1/cb"], "native"),
        (None, ["http://[::1]:1/cb"], "native"),
        (None, [PRIVATE], "native"),
        (None, [PRIVATE, WEB, LOOPBACK], "native"),
        (None, ["https://localhost/cb"], "native"),
        ("native", [WEB], "native"),
        ("native", [LOOPBACK], "native"),
        ("native", [WEB, LOOPBACK, PRIVATE], "native"),
        ("web", [WEB, "https://other.example/cb"], "web"),
    ],
)
def test_the_application_type_is_honoured_and_inferred(declared, uris, type_):
    """MCP-AS-89, MCP-AS-90, DCR-06: no loopback client is taken for a web site."""
    metadata = registered(application_type=declared, redirect_uris=uris)
    assert metadata["application_type"] == type_
    assert metadata["redirect_uris"] == uris


@pytest.mark.parametrize("uri", [LOOPBACK, PRIVATE, "https://localhost/cb", "https://127.0.0.1/cb"])
def test_a_web_client_lives_on_a_web_site(uri):
    """DCR-06, MCP-AS-91."""
    error = refusal(InvalidRedirectUri, application_type="web", redirect_uris=[WEB, uri])
    assert uri in error.description
    assert error.reason == "redirect_uri_not_web"


@pytest.mark.parametrize(
    "uri",
    [
        "javascript:alert(1)",
        "data:text/html,x",
        "http://evil.example/cb",
        "http://localhost.evil.example/cb",
        "https://app.example/cb#x",
        "https://user@app.example/cb",
        "https://app.example/../cb",
        "claude://cb",
        "CURSOR://cb",
        "//app.example/cb",
        "https://app.example/a b",
        'https://app.example/"x"',
        "https://app.example/\u202ecb",
        "https://app.example/\\cb",
    ],
)
@pytest.mark.parametrize("beside", [[], [WEB, LOOPBACK]])
def test_one_refused_redirect_uri_refuses_all_and_is_named(uri, beside):
    """DCR-02, MCP-AS-91, MCP-AS-92: nothing is left out without a word."""
    error = refusal(InvalidRedirectUri, redirect_uris=[*beside, uri])
    assert error.reason == "metadata_redirect_uris"
    # What stands before an "@" may be a password.
    named = uri[:8] if "@" not in uri else uri.rpartition("@")[2]
    assert named.replace('"', "'") in error.description


@pytest.mark.parametrize("uris", [[], None, ["x"] * 51])
def test_the_number_of_redirect_uris_is_bounded(uris):
    """DCR-02."""
    assert refusal(redirect_uris=uris).code == "invalid_redirect_uri"


def test_a_mixed_list_is_taken_whole_where_the_scheme_is_allowed():
    """MCP-AS-92."""
    mixed = [PRIVATE, WEB, LOOPBACK]
    assert registered(redirect_uris=mixed)["redirect_uris"] == mixed
    with pytest.raises(InvalidRedirectUri, match="cursor://host/cb"):
        registered_metadata({**PUBLIC, "redirect_uris": mixed}, Rules(), is_invited=True)


# -- grants, methods, keys -----------------------------------------------------------------------------------


@pytest.mark.parametrize("extra", NEVER)
def test_a_grant_that_nobody_gives_themselves_is_left_out(extra):
    """DCR-07, MCP-AS-93: and the answer says what is registered."""
    metadata = registered(grant_types=["refresh_token", extra, "authorization_code"])
    assert metadata["grant_types"] == ["authorization_code", "refresh_token"]


@pytest.mark.parametrize("grants", [[], ["refresh_token"], [[]], "authorization_code"])
def test_without_the_code_grant_there_is_nothing_to_register(grants):
    """DCR-03, DCR-07."""
    assert refusal(grant_types=grants).code == "invalid_client_metadata"


@pytest.mark.parametrize("grant", NEVER)
def test_only_a_grant_that_nobody_gives_themselves_is_refused(grant):
    """DCR-07."""
    error = refusal(InvalidClientMetadata, grant_types=[grant])
    assert error.reason == "metadata_grant_types"


@pytest.mark.parametrize("responses", [[], ["token"], ["code", "token"], ["code id_token"], "code"])
def test_response_types_fit_the_grant_types(responses):
    """DCR-03."""
    assert refusal(response_types=responses).code == "invalid_client_metadata"


@pytest.mark.parametrize("method", AUTH_METHODS)
def test_each_method_of_authentication_is_registered(method):
    jwks = JWKS if method == "private_key_jwt" else None
    metadata = registered(token_endpoint_auth_method=method, jwks=jwks)
    assert metadata["token_endpoint_auth_method"] == method


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"token_endpoint_auth_method": "client_secret_jwt"}, "metadata_auth_method"),
        ({"token_endpoint_auth_method": "tls_client_auth"}, "metadata_auth_method"),
        ({"token_endpoint_auth_method": ["none"]}, "metadata_member"),
        ({"token_endpoint_auth_method": "private_key_jwt"}, "metadata_keys"),
        ({"jwks": JWKS}, "metadata_keys"),
        ({"jwks_uri": "https://app.example/jwks"}, "metadata_keys"),
        ({"jwks": JWKS, "jwks_uri": "https://app.example/jwks"}, "metadata_keys"),
        ({"token_endpoint_auth_method": "private_key_jwt", "jwks": PRIVATE_JWKS}, "jwk_not_public"),
        (
            {
                "token_endpoint_auth_method": "private_key_jwt",
                "jwks": {"keys": [{"kty": "oct", "k": "YWFh"}]},
            },
            "jwk_not_public",
        ),
        (
            {"token_endpoint_auth_method": "private_key_jwt", "jwks": "https://app.example/"},
            "jwks_malformed",
        ),
        (
            {"token_endpoint_auth_method": "private_key_jwt", "jwks_uri": "http://app.example/k"},
            "metadata_link",
        ),
        ({"token_endpoint_auth_signing_alg": "none"}, "metadata_signing_alg"),
        ({"token_endpoint_auth_signing_alg": "HS256"}, "metadata_signing_alg"),
        ({"application_type": "browser"}, "metadata_application_type"),
        ({"client_name": ""}, "metadata_client_name"),
        ({"client_name": "a\u202eb"}, "metadata_client_name"),
        ({"client_name": "x" * 201}, "metadata_client_name"),
        ({"client_name": {"en": "x"}}, "metadata_client_name"),
        ({"logo_uri": "javascript:alert(1)"}, "metadata_link"),
        ({"policy_uri": "http://app.example/"}, "metadata_link"),
        ({"tos_uri": 1}, "metadata_link"),
        ({"scope": "a  b"}, "metadata_scope"),
        ({"scope": 'a"b'}, "metadata_scope"),
        ({"scope": ["a"]}, "metadata_scope"),
        ({"scope": "a" * 4097}, "metadata_scope"),
        ({"software_id": "x" * 201}, "metadata_member"),
        ({"software_version": 2}, "metadata_member"),
        ({"redirect_uris": WEB}, "metadata_member"),
        ({"redirect_uris": [1]}, "metadata_member"),
        ({"grant_types": ["authorization_code"] * 51}, "metadata_grant_types"),
    ],
)
def test_metadata_that_cannot_be_is_refused(members, reason):
    """DCR-03, MCP-AS-91."""
    error = refusal(InvalidClientMetadata, **members)
    assert error.reason == reason
    assert (error.code, error.status) == ("invalid_client_metadata", 400)


def test_keys_elsewhere_are_for_the_invited():
    """ATK-47, ATK-48."""
    sent = {"token_endpoint_auth_method": "private_key_jwt", "jwks_uri": "https://app.example/jwks"}
    assert registered(**sent)["jwks_uri"] == sent["jwks_uri"]
    with pytest.raises(InvalidClientMetadata) as refused:
        registered_metadata({**PUBLIC, **sent}, RULES, is_invited=False)
    assert refused.value.reason == "jwks_uri_uninvited"


def test_a_refusal_quotes_what_was_sent_in_characters_that_do_no_harm():
    """MCP-AS-91."""
    error = refusal(token_endpoint_auth_method='none"\\<é>')
    assert error.description.startswith("token_endpoint_auth_method 'none'??<?xe9>' is not one of")


@pytest.mark.parametrize("statement", ["eyJhbGciOiJub25lIn0.e30.", "x", 1, {}])
def test_no_software_statement_is_trusted(statement):
    """DCR-04: refused rather than passed over in silence."""
    error = refusal(InvalidSoftwareStatement, software_statement=statement)
    assert error.code == "invalid_software_statement"


@pytest.mark.parametrize(
    ("scope", "ceiling", "answered"),
    [
        ("a b a", None, "a b"),
        ("", None, None),
        (None, None, None),
        ("a b c", {"b", "c", "d"}, "b c"),
        ("a", {"b"}, None),
    ],
)
def test_scopes_are_noted_as_far_as_the_ceiling_goes(scope, ceiling, answered):
    """DCR-04."""
    bound = None if ceiling is None else frozenset(ceiling)
    metadata = registered_metadata(
        {**PUBLIC, "scope": scope}, RULES, is_invited=False, scope_ceiling=bound
    )
    assert metadata.get("scope") == answered


METHODS = "none, client_secret_basic, client_secret_post, private_key_jwt"
NO_GRANT = (
    "grant_types has nothing that a client may register by itself here (authorization_code, refresh_token); "
    "for another grant ask an administrator"
)
NO_SCOPE = "scope is not a list of scope names, separated by one space"
RESPONSES = "response_types is not [code], which goes with the grant type authorization_code"


@pytest.mark.parametrize(
    ("members", "reason", "sentence"),
    [
        ({"redirect_uris": []}, "no_redirect", "redirect_uris has none; send at least one"),
        (
            {"redirect_uris": [WEB] * 51},
            "metadata_redirect_uris",
            "it lists more than 50 redirect_uris",
        ),
        ({"grant_types": [WEB] * 51}, "metadata_grant_types", "grant_types has too many entries"),
        ({"grant_types": ["refresh_token"]}, "metadata_grant_types", NO_GRANT),
        ({"response_types": ["code", "token"]}, "metadata_response_types", RESPONSES),
        ({"response_types": []}, "metadata_response_types", RESPONSES),
        (
            {"token_endpoint_auth_method": "x" * 101},
            "metadata_auth_method",
            f"token_endpoint_auth_method '{'x' * 100}' is not one of {METHODS}",
        ),
        (
            {"application_type": "browser"},
            "metadata_application_type",
            "application_type is neither native nor web",
        ),
        (
            {"application_type": "web", "redirect_uris": [WEB, LOOPBACK, PRIVATE]},
            "redirect_uri_not_web",
            (
                f"redirect_uri '{LOOPBACK}' is not an https URL of a web site, which application_type web "
                "demands; register it as native"
            ),
        ),
        (
            {"application_type": "web", "redirect_uris": [LOOPBACK.ljust(201, "x")]},
            "redirect_uri_not_web",
            (
                f"redirect_uri '{LOOPBACK.ljust(200, 'x')}' is not an https URL of a web site, which "
                "application_type web demands; register it as native"
            ),
        ),
        (
            {"jwks": JWKS},
            "metadata_keys",
            "keys go with token_endpoint_auth_method private_key_jwt; it is none",
        ),
        (
            {"jwks_uri": "https://app.example/k"},
            "metadata_keys",
            "keys go with token_endpoint_auth_method private_key_jwt; it is none",
        ),
        (
            {"token_endpoint_auth_method": "private_key_jwt"},
            "metadata_keys",
            "it uses private_key_jwt but publishes no keys",
        ),
        ({"scope": "a  b"}, "metadata_scope", NO_SCOPE),
        ({"scope": 7}, "metadata_scope", NO_SCOPE),
        ({"scope": "a" * 4097}, "metadata_scope", NO_SCOPE),
        *(
            (
                {"software_id": text},
                "metadata_member",
                "software_id is not a text of 1 to 200 printable characters",
            )
            for text in ("", "x" * 201, "a\x7f", 7)
        ),
        (
            {"software_statement": "x"},
            "software_statement",
            "software statements are not accepted here; leave software_statement out",
        ),
    ],
    # Not the values: a key is another one in each test process.
    ids=lambda it: it[:60] if isinstance(it, str) else " ".join(map(str, it)) or "nothing",
)
def test_a_refusal_says_what_to_do(members, reason, sentence):
    """MCP-AS-91: the developer of a client sees this and nothing else."""
    error = refusal(**members)
    assert (error.reason, error.description) == (reason, sentence)


def test_the_algorithm_of_a_signature_is_an_asymmetric_one():
    """ATK-41, META-05."""
    error = refusal(token_endpoint_auth_signing_alg="HS256")
    assert error.description.startswith("token_endpoint_auth_signing_alg is not one of ")
    assert "ES256" in error.description
    assert "HS256" not in error.description


def test_what_a_stranger_may_not_send_is_named():
    """ATK-47, ATK-48."""
    with pytest.raises(InvalidClientMetadata) as refused:
        registered_metadata(
            {**PUBLIC, "jwks_uri": "https://app.example/k"}, RULES, is_invited=False
        )
    assert refused.value.description == "jwks_uri is not read from here; send the keys as jwks"


@pytest.mark.parametrize(
    "members",
    [
        {"software_id": "x" * 200},
        {"software_version": "é"},
        {"scope": " ".join(["s", "a" * 4094])},
        {"client_name": "x" * 200},
    ],
)
def test_what_is_just_possible_is_registered(members):
    """DCR-03: at the limits."""
    [(name, value)] = members.items()
    assert registered(**members)[name] == value


def test_equal_things_are_registered_once():
    """DCR-03: in the order they were sent, grants in ours; fifty grants are looked through."""
    found = registered(
        redirect_uris=[WEB, LOOPBACK, WEB],
        grant_types=[f"x{n}" for n in range(49)] + ["authorization_code"],
        response_types=["code", "code"],
    )
    assert found["redirect_uris"] == [WEB, LOOPBACK]
    assert found["grant_types"] == ["authorization_code"]
    assert found["response_types"] == ["code"]


@pytest.mark.parametrize("method", AUTH_METHODS)
def test_a_secret_is_for_those_who_send_one(method):
    """RFC 7591 §2."""
    found = uses_secret({"token_endpoint_auth_method": method})
    assert found is method.startswith("client_secret")


# -- updates, answers, software ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"client_id": None}, "update_client_id"),
        ({"client_id": "dcr_other"}, "update_client_id"),
        ({"client_secret": "wrong"}, "update_secret"),
        ({"client_secret": ["right"]}, "update_secret"),
        ({"registration_access_token": "rat_x"}, "update_member"),
        ({"registration_client_uri": "https://x.example"}, "update_member"),
        ({"client_secret_expires_at": 0}, "update_member"),
        ({"client_id_issued_at": 1}, "update_member"),
    ],
)
def test_an_update_names_its_client_and_sets_nothing_of_ours(members, reason):
    """RFC 7592 §2.2."""
    good = {"client_id": "dcr_x", "client_secret": "right", "redirect_uris": [WEB]}
    check_update(good, "dcr_x", "right".__eq__)
    with pytest.raises(InvalidClientMetadata) as refused:
        check_update({**good, **members}, "dcr_x", "right".__eq__)
    assert refused.value.reason == reason
    assert (
        refused.value.description
        == {
            "update_client_id": "client_id is not that of the client",
            "update_secret": "client_secret is not the current one; leave it out",
            "update_member": f"{next(iter(members))} cannot be set; leave it out",
        }[reason]
    )


def test_an_update_may_leave_the_secret_out():
    """RFC 7592 §2.2."""
    check_update({"client_id": "dcr_x", "redirect_uris": [WEB]}, "dcr_x", "right".__eq__)


@pytest.mark.parametrize("secret", [None, "cls_x"])
def test_the_answer_has_what_is_and_no_null(secret):
    """DCR-01, MCP-AS-93."""
    answer = client_information(
        "dcr_x",
        registered(),
        issued_at=datetime(2026, 3, 1, tzinfo=UTC),
        issuer="https://authz.example/t/a",
        token="rat_x",
        secret=secret,
    )
    assert answer["registration_client_uri"] == "https://authz.example/t/a/register/dcr_x"
    assert answer["client_id_issued_at"] == 1772323200
    assert answer.get("client_secret") == secret
    assert answer.get("client_secret_expires_at") == (None if secret is None else 0)
    assert None not in answer.values()
    assert answer["client_id"] == "dcr_x"
    assert answer["registration_access_token"] == "rat_x"
    assert answer.items() >= registered().items()


def test_the_same_software_is_told_apart_from_all_others():
    """features.md 2, row 2: equal as redirect URIs are compared, and in nothing less."""

    def digest(network="192.0.2.1", **members):
        return software_digest(registered(**members), network)

    base = digest(redirect_uris=[LOOPBACK, WEB])
    assert base == digest(redirect_uris=[WEB, "http://localhost:1/cb"])
    assert base == digest(redirect_uris=[WEB, LOOPBACK, "http://localhost/cb"])
    others = [
        digest(redirect_uris=[LOOPBACK, WEB], network="192.0.2.2"),
        digest(redirect_uris=[LOOPBACK]),
        digest(redirect_uris=["http://127.0.0.1:8787/cb", WEB]),
        digest(redirect_uris=["http://localhost:8787/CB", WEB]),
        digest(redirect_uris=["http://localhost:8787/cb?a=b", WEB]),
        digest(redirect_uris=["http://localhost:8787/cb?a=c", WEB]),
        digest(redirect_uris=[LOOPBACK, "https://app.example:8443/cb"]),
        digest(redirect_uris=[LOOPBACK, WEB], client_name="Other"),
        digest(redirect_uris=[LOOPBACK, WEB], software_version="2"),
        digest(redirect_uris=[LOOPBACK, WEB], grant_types=list(GRANT_TYPES)),
    ]
    assert base is not None
    assert len({base, *others}) == 1 + len(others)


@pytest.mark.parametrize("method", [m for m in AUTH_METHODS if m != "none"])
def test_a_client_with_anything_of_its_own_is_nobody_elses(method):
    jwks = JWKS if method == "private_key_jwt" else None
    metadata = registered(token_endpoint_auth_method=method, jwks=jwks)
    assert software_digest(metadata, "192.0.2.1") is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
MEMBERS = (
    "redirect_uris",
    "grant_types",
    "response_types",
    "token_endpoint_auth_method",
    "application_type",
    "client_name",
    "client_uri",
    "jwks",
    "jwks_uri",
    "scope",
    "software_id",
    "software_statement",
)


@given(st.dictionaries(st.sampled_from(MEMBERS), JSON), st.booleans())
def test_any_json_is_registered_consistently_or_refused_in_public_words(sent, is_based):
    """DCR-03: no crash, and what is registered could be registered again as it is."""
    request = {**PUBLIC, **sent} if is_based else sent
    refused = None
    try:
        metadata = registered_metadata(request, RULES, is_invited=True)
    except OAuthError as error:
        refused = error
    if refused is not None:
        assert SAYABLE.fullmatch(refused.description)
        return
    assert json.loads(json.dumps(metadata)) == metadata
    assert set(metadata["grant_types"]) <= set(GRANT_TYPES)
    assert registered_metadata(metadata, RULES, is_invited=True) == metadata


@given(st.lists(st.text(max_size=30) | st.sampled_from([WEB, LOOPBACK, PRIVATE]), max_size=4))
def test_redirect_uris_are_all_registered_or_none(uris):
    """MCP-AS-92."""
    try:
        metadata = registered(redirect_uris=uris)
    except OAuthError:
        return
    assert metadata["redirect_uris"] == list(dict.fromkeys(uris))
