import contextlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from authz.clients.metadata import MetadataError, Rules, client_of_document

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
    from dataclasses import replace

    methods = frozenset({"private_key_jwt"} if confidential else {"none", "private_key_jwt"})
    client = replace(read(DOCUMENT), auth_methods=methods)
    assert client.is_proven_at(uri) is proven


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
