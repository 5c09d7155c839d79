"""Targets: what strangers send to the authorization server. Each is a function of bytes that checks what it can.

A target turns the bytes into what the parser takes on its real way in, calls it, and asserts what must hold of every
answer. Several values of one request are separated by SEPARATOR, which stands in none of them.
"""

import contextlib
import json
from base64 import b64encode, urlsafe_b64encode
from dataclasses import replace
from urllib.parse import parse_qsl, urlsplit

from joserfc import jws
from starlette.requests import Request

from authz.clients import certificates, metadata, registration, trust
from authz.clients.authentication import read_credentials
from authz.db.types import canonical_json
from authz.jose import (
    ASYMMETRIC,
    MAX_TOKEN_CHARS,
    Profile,
    import_jwks,
    read_unverified,
    verify_embedded,
    verify_jwt,
)
from authz.jose.compact import decode, encode
from authz.jose.keys import fitting
from authz.net.strict_json import read_object
from authz.oauth import (
    asked,
    authorization_details,
    authorization_request,
    devices,
    dpop,
    pkce,
    refresh,
)
from authz.oauth.params import MAX_PARAMETERS, Params
from authz.policy.snapshot import Scope
from authz.urls import (
    UrlError,
    add_query,
    canonical_resource,
    check_client_id_url,
    check_issuer,
    check_redirect_uri,
    is_client_id_url,
    is_loopback_redirect,
    read_url,
    redirect_host,
    redirect_uri_matches,
)
from authz.web import forms
from tests.support.configured import CLIENT, ISSUER, NOW, RESOURCE, TENANT_ID, fixed_key, policy

SEPARATOR = b"\x1f"
KEY = fixed_key()
RULES = metadata.Rules(private_schemes=frozenset({"cursor"}))
DOCUMENT_URL = "https://app.example/client.json"
PROFILE = Profile(
    typ=frozenset({None, "jwt"}),
    algorithms=ASYMMETRIC,
    issuer=CLIENT.id,
    audiences=frozenset({ISSUER}),
    max_lifetime=dpop.WINDOW * 5,
    required=frozenset({"jti"}),
)
POLICY = policy()
LIMITED = replace(RESOURCE, scopes={"logs.write": Scope("logs.write", tools=("rotate", "drop"))})
_SIGNER = jws.JWSRegistry.algorithms["ES256"]


def in_header(data: bytes) -> str:
    """As Starlette reads a header."""
    return data.decode("latin-1")


def in_form(data: bytes) -> str:
    """As a form's value is read; what is not UTF-8 never gets that far."""
    return data.decode("utf-8", "replace").replace("\x00", "")


def token_of(data: bytes) -> str:
    """A token as sent; two parts are its header and claims, and get a good signature."""
    if SEPARATOR not in data:
        return in_header(data)
    header, _, claims = data.partition(SEPARATOR)
    signed = f"{_unpadded(header)}.{_unpadded(claims)}"
    return f"{signed}.{_unpadded(_SIGNER.sign(signed.encode(), KEY))}"


def _unpadded(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


# -- JWTs and keys ------------------------------------------------------------------------------------------


def jose_read(data: bytes) -> None:
    token = token_of(data)
    header, claims = read_unverified(token)
    assert isinstance(header, dict)
    assert isinstance(claims, dict)
    assert len(token) <= MAX_TOKEN_CHARS
    for part in token.split(".")[:2]:
        assert encode(decode(part)) == part


def jose_verify(data: bytes) -> None:
    """ATK-41, ATK-44: what passes was signed with an algorithm of the list and names us and a subject."""
    token = token_of(data)
    claims = verify_jwt(token, [KEY], PROFILE, NOW)
    assert read_unverified(token)[0]["alg"] == "ES256"
    assert claims["iss"] == CLIENT.id
    assert claims["aud"] in (ISSUER, [ISSUER])
    assert all(isinstance(claims[name], str) and claims[name] for name in ("sub", "jti"))


def jose_verify_embedded(data: bytes) -> None:
    thumbprint, _ = verify_embedded(token_of(data), typ="dpop+jwt", algorithms=dpop.ALGORITHMS)
    assert thumbprint == KEY.thumbprint()


def jose_import_jwks(data: bytes) -> None:
    """ATK-45."""
    for key in import_jwks(read_object(data), algorithms=ASYMMETRIC):
        public = key.as_dict(private=False)
        assert key.as_dict().keys() == public.keys(), "a private member was kept"
        assert dpop.is_thumbprint(key.thumbprint())
        for algorithm in fitting(key, ASYMMETRIC):
            verifier = jws.JWSRegistry.algorithms[algorithm]
            assert not verifier.verify(b"a.b", b"\x00" * 64, key), "a psychic signature"


def dpop_proof(data: bytes) -> None:
    proof = dpop.read_proof(
        [token_of(data)],
        method="POST",
        uris=[f"{ISSUER}/token"],
        algorithms=dpop.ALGORITHMS,
        nonces=None,
        tenant_id=TENANT_ID,
        now=NOW,
    )
    assert proof.jkt == KEY.thumbprint()
    assert proof.replay.expires_at > NOW


# -- clients ------------------------------------------------------------------------------------------------


def client_credentials(data: bytes) -> None:
    """The header, client_id, client_secret, client_assertion; an empty one was not sent."""
    names = ("client_id", "client_secret", "client_assertion")
    header, *values = [*data.split(SEPARATOR), b"", b"", b"", b""][:4]
    sent = {name: in_form(value) or None for name, value in zip(names, values, strict=True)}
    found = read_credentials(
        in_header(header) if header else None,
        client_assertion_type="urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        **sent,
    )
    assert found.client_id
    assert "\x00" not in found.client_id + "".join(found.secrets)
    assert not (found.secrets and found.assertion)
    assert sent["client_id"] in (None, found.client_id)


def client_document(data: bytes) -> None:
    """ATK-45: from the bytes a stranger's host serves to a client."""
    document = read_object(data)
    client = metadata.client_of_document(
        document, client_id=DOCUMENT_URL, tenant_id=TENANT_ID, rules=RULES, approved=False
    )
    assert client.name.isprintable()
    assert client.auth_methods <= metadata.DOCUMENT_METHODS
    assert client.digest
    for uri in client.redirect_uris:
        assert check_redirect_uri(uri, private_schemes=RULES.private_schemes) == uri
        assert client.accepts_redirect(uri)
    for link in (client.logo_uri, client.client_uri, client.policy_uri, client.tos_uri):
        assert link is None or link.startswith("https://")


def client_registration(data: bytes) -> None:
    """DCR: what is registered is registered again as it is."""
    request = read_object(data)
    made = registration.registered_metadata(request, RULES, is_invited=True)
    assert registration.registered_metadata(made, RULES, is_invited=True) == made
    assert None not in made.values()
    assert set(made["grant_types"]) <= set(registration.GRANT_TYPES)
    canonical_json(made).encode()
    first, second = (registration.software_digest(made, network) for network in ("a", "b"))
    assert (first is None) or first != second
    assert registration.uses_secret(made) == made["token_endpoint_auth_method"].startswith("client")


def client_update(data: bytes) -> None:
    request = read_object(data)
    registration.check_update(request, CLIENT.id, lambda secret: secret == "s3cret")
    assert request["client_id"] == CLIENT.id
    assert request.get("client_secret") in (None, "s3cret")


def client_trust(data: bytes) -> None:
    """A client identifier that is well spelled is judged by every kind of pattern."""
    text = in_form(data)
    trust.is_pattern(text)
    listed = trust.TrustPolicy("allow_list", deny=frozenset({check_client_id_url(text)}))
    assert listed.judge(text) is trust.Verdict.DENIED
    host = urlsplit(text).hostname
    assert trust.TrustPolicy("allow_list", allow=frozenset({host})).judge(text) == "admitted"


def client_certificate(data: bytes) -> None:
    """DER as a proxy hands it over: whatever is in it, it has a thumbprint and names, or is refused."""
    header = f":{b64encode(data).decode()}:" if data[:1] == b"0" else in_header(data)
    found = certificates.read_certificate(header, NOW)
    assert len(found.thumbprint) == 43
    for name in certificates.NAMES:
        certificates.matches(found, {name: "app.example"})
    assert not certificates.Authorities().issued(found, NOW)
    certificates.Authorities((found.parsed,)).issued(found, NOW)


# -- forms, queries, JSON -----------------------------------------------------------------------------------


def web_query(data: bytes) -> None:
    """ATK-10, ATK-63."""
    params = forms.params_of(in_header(data))
    assert len(params.as_dict()) <= MAX_PARAMETERS
    for name, value in params.as_dict().items():
        assert "\x00" not in name + value
        (name + value).encode()
        assert params.find(name) == (value or None)


def web_form(data: bytes) -> None:
    """The media type, then the body as it arrives in chunks."""
    request = _request(data)
    pairs = _finished(forms.read_form(request))
    assert len(Params(pairs).as_dict()) <= MAX_PARAMETERS


def web_json(data: bytes) -> None:
    assert isinstance(_finished(forms.read_json(_request(data))), dict)


def _request(data: bytes) -> Request:
    media_type, *chunks = data.split(SEPARATOR)
    pending = iter([*chunks, b""])
    left = len(chunks)

    async def receive() -> dict[str, object]:
        nonlocal left
        left -= 1
        return {"type": "http.request", "body": next(pending), "more_body": left > 0}

    headers = [(b"content-type", media_type)]
    return Request({"type": "http", "method": "POST", "headers": headers}, receive)


def _finished(coroutine):
    """Run what never waits."""
    try:
        coroutine.send(None)
    except StopIteration as stopped:
        return stopped.value
    raise AssertionError("it waited")


# -- what an authorization request says ---------------------------------------------------------------------


def urls(data: bytes) -> None:
    """Every function: nothing is repaired, and what is accepted once is accepted again."""
    left, _, right = data.partition(SEPARATOR)
    text, other = in_form(left), in_form(right)
    for check in (
        lambda it: check_issuer(it, development=True),
        lambda it: check_client_id_url(it, development=True),
        lambda it: check_redirect_uri(it, private_schemes=frozenset({"cursor"})),
    ):
        with contextlib.suppress(UrlError):
            assert check(text) == text
    is_client_id_url(text)
    assert redirect_uri_matches(text, text)
    assert redirect_uri_matches(text, other) == redirect_uri_matches(other, text)
    if is_loopback_redirect(text):
        assert redirect_host(text) in ("localhost", "127.0.0.1", "[::1]")
    parts = read_url("URL", text)
    assert text.startswith(f"{parts.scheme}:")
    redirect_host(text)
    if parts.fragment is None:
        answered = add_query(text, [("state", other)])
        assert answered.startswith(text)
        assert parse_qsl(urlsplit(answered).query, keep_blank_values=True)[-1] == ("state", other)
    canonical = canonical_resource(text)
    assert canonical_resource(canonical) == canonical


def authorization(data: bytes) -> None:
    """Both stages; whatever is sent, the answer goes to a registered address or nowhere (MCP-AS-52, ATK-02)."""
    params = forms.params_of(in_header(data))
    address = authorization_request.return_address(CLIENT, params, ISSUER)
    assert CLIENT.accepts_redirect(address.redirect_uri)
    location = address.with_code("azc_1")
    assert location.startswith(address.redirect_uri)
    sent = dict(parse_qsl(urlsplit(location).query, keep_blank_values=True))
    assert (sent["code"], sent["iss"]) == ("azc_1", ISSUER)
    assert sent.get("state") == address.state
    valid = authorization_request.validate(CLIENT, params, address, POLICY, pushed=False)
    assert pkce.is_challenge(valid.code_challenge)
    assert valid.resource is RESOURCE
    assert valid.prompt <= authorization_request.PROMPTS
    assert valid.max_age is None or 0 <= valid.max_age < 10**9


def asked_for(data: bytes) -> None:
    params = forms.params_of(in_header(data))
    scopes = asked.read_scopes(params)
    assert scopes.resource != frozenset()
    resource = asked.read_resource(params, POLICY)
    asked.check_scopes(scopes.resource, resource)
    assert scopes.resource is None or scopes.resource & resource.scopes.keys()


def details(data: bytes) -> None:
    """RAR-01, RAR-04: what was read is stored and read again as the same, and is within itself."""
    limits = authorization_details.parse(in_form(data), LIMITED)
    stored = json.loads(canonical_json(authorization_details.as_json(limits)))
    assert authorization_details.of_json(stored) == limits
    assert authorization_details.parse(json.dumps(stored), LIMITED) == limits
    assert authorization_details.scopes_of(limits, LIMITED) == {"logs.write"}
    granted = frozenset({"logs.write"})
    assert authorization_details.standing(limits, LIMITED, granted) == limits
    assert authorization_details.narrowed(limits, limits, LIMITED, granted) == limits


def refresh_token(data: bytes) -> None:
    """One token has one spelling."""
    text = in_form(data)
    found = refresh.parse(text)
    if found is not None:
        assert f"azr_{found.family_id}.{found.generation}.{found.mac}" == text
        assert 1 <= found.generation <= 10**9
        shown = f"Presented(family_id={found.family_id!r}, generation={found.generation})"
        assert repr(found) == shown, "the secret part is printed"


def proof_key(data: bytes) -> None:
    text = in_form(data)
    dpop.is_thumbprint(text)
    if pkce.is_verifier(text):
        assert not pkce.matches(text, text)
    if pkce.is_challenge(text):
        assert pkce.is_verifier(text)
        assert dpop.is_thumbprint(text)


def user_code(data: bytes) -> None:
    """What a person types: any two spellings of one code are one code."""
    typed = in_form(data)
    shown = devices.shown_user_code(typed)
    assert bool(shown) == (devices.user_code_digest(typed) is not None)
    if shown:
        assert devices.user_code_digest(shown) == devices.user_code_digest(typed)
        assert devices.shown_user_code(shown) == shown
