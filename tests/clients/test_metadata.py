import contextlib
import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from authz.clients.client import Client
from authz.clients.metadata import MetadataError, Rules, client_of_document
from tests.support.client_keys import ClientKey

URL = "https://app.example/client.json"
DOCUMENT = {
    "client_id": URL,
    "client_name": "App",
    "redirect_uris": ["https://app.example/cb"],
    "grant_types": ["authorization_code", "refresh_token"],
}


def read(document, url=URL, **rules):
    return client_of_document(
        document, client_id=url, tenant_id="ten_1", rules=Rules(**rules), approved=False
    )


def test_a_document_becomes_a_client():
    client = read({**DOCUMENT, "logo_uri": "https://app.example/logo.png", "unknown": 1})
    assert (client.id, client.kind, client.name, client.enabled) == (URL, "cimd", "App", True)
    assert client.auth_methods == {"none"}
    assert client.may_use("refresh_token")
    assert not client.may_use("client_credentials")
    assert client.host == "app.example"
    assert client.logo_uri == "https://app.example/logo.png"


@pytest.mark.parametrize(
    ("url", "theirs"),
    [
        ("https://chatgpt.com/oauth/x/client.json", True),
        ("https://chatgpt.com:8443/client.json", True),
        ("https://www.chatgpt.com/client.json", False),
        ("https://chatgpt.com.evil.example/client.json", False),
        ("https://evil.example/chatgpt.com", False),
    ],
)
def test_the_compatibility_profile_is_for_one_host(url, theirs):
    """C-7."""
    assert read({**DOCUMENT, "client_id": url}, url).names_token_endpoint is theirs


@pytest.mark.parametrize("scheme", ["javascript", "data", "vbscript", "file", "blob", "about"])
def test_dangerous_schemes_stay_refused_whatever_the_operator_lists(scheme):
    """CIMD-23."""
    with pytest.raises(MetadataError) as refused:
        read(
            {**DOCUMENT, "redirect_uris": [f"{scheme}://x/cb"]}, private_schemes=frozenset({scheme})
        )
    assert refused.value.reason == "document_redirect_uris"


def test_a_client_without_a_browser_needs_no_address():
    """CIMD-35: its grants decide; the ones that are not built are refused where they are used."""
    document = {"client_id": URL, "client_name": "App", "grant_types": ["client_credentials"]}
    assert read(document).redirect_uris == ()


def test_the_default_grant_is_the_code_alone():
    """RFC 7591 2."""
    client = read({name: value for name, value in DOCUMENT.items() if name != "grant_types"})
    assert client.grant_types == {"authorization_code"}


def test_a_digest_covers_what_people_see_and_not_the_keys():
    """CIMD-28."""
    first = read(DOCUMENT).digest
    assert read({**DOCUMENT, "x": 1, "tos_uri": "https://app.example/t"}).digest == first
    assert read({**DOCUMENT, "client_name": "Other"}).digest != first
    assert read({**DOCUMENT, "redirect_uris": ["https://app.example/cb2"]}).digest != first


@pytest.mark.parametrize(
    ("uri", "confidential", "proven"),
    [
        ("https://app.example/cb", False, True),
        ("http://127.0.0.1:1/cb", False, False),
        ("http://[::1]/cb", False, False),
        ("http://localhost/cb", False, False),
        ("cursor://x/cb", False, False),
        ("http://127.0.0.1/cb", True, True),
    ],
)
def test_who_is_proven_by_where_the_answer_goes(uri, confidential, proven):
    """O21-21, CIMD-25, ATK-13."""
    methods = frozenset({"private_key_jwt"} if confidential else {"none", "private_key_jwt"})
    client = replace(read(DOCUMENT), auth_methods=methods)
    assert client.is_proven_at(uri) is proven


JWKS = ClientKey().jwks
PRIVATE = {"keys": [ClientKey().key.as_dict(private=True)]}


def refused(changes, **rules):
    with pytest.raises(MetadataError) as caught:
        read({**DOCUMENT, **changes}, **rules)
    return caught.value.reason, str(caught.value)


def test_every_member_is_read():
    """CIMD-24: what the consent page shows, and what the token endpoint needs."""
    document = {
        **DOCUMENT,
        "client_name": "  App  ",
        "grant_types": ["authorization_code"],
        "token_endpoint_auth_method": "private_key_jwt",
        "token_endpoint_auth_methods_supported": ["none", "client_secret_basic"],
        "jwks": JWKS,
        "logo_uri": "https://app.example/logo",
        "client_uri": "https://app.example/",
        "policy_uri": "https://app.example/policy",
        "tos_uri": "https://app.example/tos",
    }
    found = client_of_document(
        document, client_id=URL, tenant_id="ten_1", rules=Rules(), approved=True
    )
    assert found == Client(
        tenant_id="ten_1",
        id=URL,
        kind="cimd",
        enabled=True,
        name="App",
        redirect_uris=("https://app.example/cb",),
        grant_types=frozenset({"authorization_code"}),
        auth_methods=frozenset({"private_key_jwt", "none"}),
        jwks=JWKS,
        approved=True,
        logo_uri="https://app.example/logo",
        client_uri="https://app.example/",
        policy_uri="https://app.example/policy",
        tos_uri="https://app.example/tos",
        metadata=document,
    )
    elsewhere = {**document, "jwks": None, "jwks_uri": "https://app.example/jwks"}
    assert read(elsewhere) == replace(
        found, jwks=None, jwks_uri="https://app.example/jwks", metadata=elsewhere, approved=False
    )


@pytest.mark.parametrize(
    ("members", "methods"),
    [
        ({}, {"none"}),
        ({"jwks": JWKS}, {"private_key_jwt"}),
        ({"jwks_uri": "https://app.example/k"}, {"private_key_jwt"}),
        ({"token_endpoint_auth_method": "none"}, {"none"}),
        ({"jwks": JWKS, "token_endpoint_auth_method": "none"}, {"none"}),
        (
            {"jwks": JWKS, "token_endpoint_auth_methods_supported": ["none", "client_secret_post"]},
            {"none", "private_key_jwt"},
        ),
    ],
)
def test_who_has_keys_has_to_use_them_unless_it_says_otherwise(members, methods):
    """CIMD-11, C-9."""
    assert read({**DOCUMENT, **members}).auth_methods == methods


LONG = "https://app.example/"


@pytest.mark.parametrize(
    "link",
    [
        "https://app.example",
        "https://app.example:8443/x?y=z#w",
        "https://app.example/X",
        "https://[2001:db8::7]/x",
        LONG.ljust(2048, "x"),
    ],
)
def test_a_link_may_be_any_https_url(link):
    """MCP-AS-91."""
    assert read({**DOCUMENT, "logo_uri": link}).logo_uri == link


@pytest.mark.parametrize(
    "link",
    [
        1,
        "",
        "http://app.example/",
        "HTTPS://app.example/",
        "https://",
        "https:///x",
        "https://:443/",
        "https://app.example:99999/",
        "https://app.example:x/",
        "https://[app/",
        "https://user@app.example/",
        "https://äpp.example/",
        "https://app.example/\x7f",
        LONG.ljust(2049, "x"),
        *(f"https://app.example/{character}" for character in ' \\"<>^`{|}'),
    ],
)
@pytest.mark.parametrize("name", ["logo_uri", "jwks_uri"])
def test_a_link_is_nothing_else(name, link):
    """ATK-45: it is put into a page, or asked."""
    assert refused({name: link}) == ("document_link", f"its {name} is not an https URL")


FEW = "https://app.example/cb"


@pytest.mark.parametrize(
    ("changes", "reason", "sentence"),
    [
        (
            {"client_id": URL + "/"},
            "document_client_id",
            "its client_id is not the address it was fetched from",
        ),
        (
            {"client_id": None},
            "document_client_id",
            "its client_id is not the address it was fetched from",
        ),
        ({"client_secret": "s"}, "document_secret", "it publishes client_secret"),
        (
            {"client_secret_expires_at": 0},
            "document_secret",
            "it publishes client_secret_expires_at",
        ),
        ({"client_name": None}, "document_client_name", "it has no client_name"),
        ({"client_name": 7}, "document_client_name", "it has no client_name"),
        ({"client_name": "  "}, "document_client_name", "it has no client_name"),
        (
            {"client_name": "x" * 201},
            "document_client_name",
            "its client_name is longer than 200 characters or has control characters",
        ),
        (
            {"client_name": "a\u202eb"},
            "document_client_name",
            "its client_name is longer than 200 characters or has control characters",
        ),
        *(
            (
                {"token_endpoint_auth_method": method},
                "document_auth_method",
                "its token_endpoint_auth_method is not none or private_key_jwt",
            )
            for method in ("client_secret_basic", "", None, ["none"])
        ),
        (
            {"token_endpoint_auth_methods_supported": "none"},
            "document_member",
            "its token_endpoint_auth_methods_supported is not a list of strings",
        ),
        (
            {"grant_types": "authorization_code"},
            "document_member",
            "its grant_types is not a list of strings",
        ),
        ({"redirect_uris": [""]}, "document_member", "its redirect_uris is not a list of strings"),
        ({"redirect_uris": [1]}, "document_member", "its redirect_uris is not a list of strings"),
        ({"redirect_uris": []}, "document_redirect_uris", "it lists no redirect_uris"),
        ({"redirect_uris": None}, "document_redirect_uris", "it lists no redirect_uris"),
        (
            {"redirect_uris": [FEW] * 51},
            "document_redirect_uris",
            "it lists more than 50 redirect_uris",
        ),
        (
            {"jwks": JWKS, "jwks_uri": "https://app.example/k"},
            "document_keys",
            "it has both jwks and jwks_uri",
        ),
        (
            {"token_endpoint_auth_method": "private_key_jwt"},
            "document_keys",
            "it uses private_key_jwt but publishes no keys",
        ),
        ({"jwks": PRIVATE}, "jwk_not_public", "its jwks is not usable"),
        ({"jwks": "x"}, "jwks_malformed", "its jwks is not usable"),
    ],
    # Not the values: a key is another one in each test process.
    ids=lambda it: it if isinstance(it, str) else " ".join(it) or "nothing",
)
def test_a_document_is_refused_with_a_sentence_for_its_author(changes, reason, sentence):
    """CIMD-07, CIMD-09, CIMD-10, MCP-AS-91."""
    assert refused(changes) == (reason, sentence)


def test_one_refused_redirect_uri_is_named():
    """MCP-AS-92: the whole document is refused, not the line."""
    reason, sentence = refused({"redirect_uris": [FEW, "cursor://x/cb"]})
    assert reason == "document_redirect_uris"
    assert sentence.startswith("one of its redirect_uris is refused: redirect_uri 'cursor://x/cb'")


def test_what_is_just_possible():
    """DCR-02: at the limits."""
    client = read({**DOCUMENT, "client_name": "x" * 200, "redirect_uris": [FEW] * 50})
    assert client.name == "x" * 200
    assert len(client.redirect_uris) == 50


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=30)
    | st.just("https://app.example/cb"),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["keys", "kty", "crv", "x", "y", "n", "e", "d", "kid"]), inner
        )
    ),
    max_leaves=8,
)
members = st.sampled_from(
    ["client_id", "client_name", "redirect_uris", "grant_types", "jwks", "jwks_uri", "logo_uri"]
) | st.sampled_from(["token_endpoint_auth_method", "token_endpoint_auth_methods_supported"])


@settings(deadline=None)
@given(st.dictionaries(members, values, max_size=4))
def test_whatever_a_document_says_is_a_client_or_a_refusal(changes):
    """ATK-63, ATK-45: and what passes is safe to store and to show."""
    with contextlib.suppress(MetadataError):
        check(read({**DOCUMENT, **changes}))


def check(client):
    assert client.id == URL
    assert client.name.isprintable()
    assert client.auth_methods <= {"none", "private_key_jwt"}
    assert json.dumps(dict(client.metadata))
    assert len(client.digest) == 64
