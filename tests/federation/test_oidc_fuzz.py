"""Whatever a provider writes into its documents and claims, somebody comes of it, or a refusal with a reason."""

import string
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from authz.directory.assurance import MFA
from authz.directory.linking import MAX_SUBJECT_CHARS
from authz.federation.connector import SignInRefused, Wish
from authz.federation.oidc_claims import Said, check_tenant, identity_of
from authz.federation.oidc_discovery import _ProviderOf
from authz.federation.oidc_groups import is_overage
from authz.federation.oidc_settings import check_settings, stored_settings
from authz.federation.oidc_tokens import Expected, auth_time_of, verify_id_token
from authz.federation.presets import PRESETS
from authz.jose import ASYMMETRIC, import_jwks
from tests.support.fake_idp import sign, signing_key
from tests.support.oidc_scene import DIRECTORY, OBJECT

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
ISSUER = f"https://idp.example/{DIRECTORY}/v2.0"
KEY = signing_key("ES256", "k1")
KEYS = import_jwks({"keys": [KEY.public]}, algorithms=ASYMMETRIC)
GOOD = {
    "iss": ISSUER,
    "aud": "mcp",
    "sub": "person-1",
    "exp": NOW.timestamp() + 60,
    "iat": NOW.timestamp(),
    "nonce": "n",
}
CLAIMS = (
    *(
        "iss",
        "aud",
        "azp",
        "sub",
        "exp",
        "iat",
        "nbf",
        "jti",
        "nonce",
        "at_hash",
        "auth_time",
        "acr",
    ),
    *(
        "amr",
        "acrs",
        "sid",
        "session_expiry",
        "email",
        "email_verified",
        "xms_edov",
        "name",
        "groups",
    ),
    *("tid", "oid", "hd", "typ", "_claim_names", "hasgroups", "validate", "registered", ""),
)
WISHES = [Wish(), Wish(is_fresh=True), Wish(max_age=0), Wish(acr_values=(MFA, "c1", "gold"))]

_numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
_texts = st.text() | st.sampled_from(
    [ISSUER, "mcp", "n", DIRECTORY, OBJECT, "c1", "ID", "\x00", "mfa"]
)
_json = st.recursive(
    st.none() | st.booleans() | _numbers | _texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
_claims = st.dictionaries(
    st.sampled_from(CLAIMS) | st.text(string.ascii_letters + "_\x00é\ud800", max_size=8), _json
)


def settings_of(preset):
    given = {"client_id": "mcp", "client_secret": "env:S"}
    given |= {"entra": {"issuer": ISSUER}, "google": {"tenant": "corp.example"}}.get(
        preset, {"issuer": "https://idp.example"}
    )
    return stored_settings(check_settings(given, preset, development=False))


SETTINGS = {name: settings_of(name) for name in ("generic", "entra", "google")}


def outcome(work):
    """What comes of it, or the refusal. Anything else is a server error, and fails the test."""
    try:
        return work()
    except SignInRefused as refused:
        return refused


@given(_claims)
def test_an_id_token_is_believed_or_refused(claims):
    expected = Expected(ISSUER, "mcp", "n", ("ES256",), "at", NOW)
    token = sign(KEY, {"alg": "ES256", "kid": "k1"}, {**GOOD, **claims})
    found = outcome(lambda: verify_id_token(token, KEYS, expected, NOW))
    if isinstance(found, SignInRefused):
        assert found.reason.startswith("id_token_")
        return
    assert (found["iss"], found["nonce"]) == (ISSUER, "n")
    assert found["aud"] in ("mcp", ["mcp"])
    assert found.get("azp", "mcp") == "mcp"


@given(
    st.sampled_from(sorted(SETTINGS)),
    st.sampled_from(WISHES),
    _claims,
    _claims,
    st.frozensets(_texts),
)
def test_somebody_comes_of_claims_or_a_refusal(name, wish, claims, userinfo, wanted):
    settings, preset = SETTINGS[name], PRESETS[name]
    verified = {**GOOD, "tid": DIRECTORY, "oid": OBJECT, "hd": "corp.example", **claims}

    def believed():
        is_overage(verified, settings.groups_claim)
        check_tenant(verified, settings, preset)
        return identity_of(
            Said(verified, userinfo),
            settings,
            preset,
            wish=wish,
            wanted=wanted | {"groups", "email"},
            auth_time=auth_time_of(verified, wish, NOW, NOW),
            now=NOW,
        )

    identity = outcome(believed)
    if isinstance(identity, SignInRefused):
        assert identity.reason
        return
    assert 1 <= len(identity.subject) <= MAX_SUBJECT_CHARS
    texts = [identity.subject, *(identity.amr), *(v for vs in identity.claims.values() for v in vs)]
    texts += [it for it in (identity.email, identity.name, identity.acr, identity.session) if it]
    assert all(text.isprintable() for text in texts)
    assert identity.session_expires_at is None or identity.session_expires_at > NOW
    if name == "entra":
        assert identity.subject.startswith(f"{DIRECTORY}:")
    if wish.is_fresh or wish.max_age is not None:
        assert identity.auth_time is not None


@given(_json | st.dictionaries(st.sampled_from(["issuer", "jwks_uri", "token_endpoint"]), _json))
def test_metadata_is_read_or_refused(document):
    provider = outcome(lambda: _ProviderOf(ISSUER, False)(document))
    if isinstance(provider, SignInRefused):
        assert provider.reason.startswith("discovery_")
        return
    assert provider.issuer == ISSUER
