"""Clients with certificates behind a TLS proxy (RFC 8705): who gets in, what their tokens are bound to, and whom we
believe."""

from datetime import timedelta

import pytest

from authz.admin.client_metadata import Registration, checked_metadata
from authz.errors import Invalid
from tests.support.arrange import VERIFIER
from tests.support.certificates import HEADER, Authority, dns, self_signed
from tests.support.client_keys import ClientKey
from tests.support.dpop_keys import DpopKey
from tests.support.harness import REDIRECT, Harness, running
from tests.support.web import Reply

ASIDE = "http://127.0.0.1:9443"


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """A server whose proxy is this machine, and an authority it believes."""
    folder = tmp_path_factory.mktemp("mtls")
    from datetime import UTC, datetime

    authority = Authority(datetime.now(UTC).replace(microsecond=0) - timedelta(days=2))
    settings = {
        "trusted_proxies": ("127.0.0.1",),
        "client_certificate_header": HEADER,
        "client_certificate_authorities": authority.write(folder / "ca.pem"),
        "mtls_base": ASIDE,
    }
    with running(
        folder, f"sqlite:///{folder / 'authz.db'}", sections={"server": settings}
    ) as server:
        made = Harness(server)
        made.authority = authority
        yield made
        made.close()


def named(harness, **more):
    rule = more.pop("certificate_name", ("tls_client_auth_san_dns", "app.example"))
    made = harness.add_client(auth_method="tls_client_auth", certificate_name=rule, **more)
    return made.client.id


def published(harness, issued, **more):
    method = "self_signed_tls_client_auth"
    return harness.add_client(auth_method=method, jwks=issued.jwks, **more).client.id


def issue(harness, **more):
    return harness.authority.issue(**{"names": (dns("app.example"),), **more})


def attempt(harness, client_id, headers):
    fields = {"grant_type": "authorization_code", "client_id": client_id, "code": "azc_x"}
    return harness.token({**fields, "code_verifier": VERIFIER}, **headers)


def redeem(harness, client_id, headers, **more):
    fields = {"grant_type": "authorization_code", "client_id": client_id}
    fields |= {"code": harness.code(client_id=client_id), "code_verifier": VERIFIER}
    return harness.token({**fields, **more}, **headers)


def refresh(harness, client_id, token, headers):
    fields = {"grant_type": "refresh_token", "client_id": client_id, "refresh_token": token}
    return harness.token(fields, **headers)


# -- who gets in ------------------------------------------------------------------------------------------


def test_the_name_in_a_certificate_lets_the_client_in(scene):
    """MTLS-01: both spellings of the header; nothing is bound, because the client did not ask for it."""
    client_id = named(scene)
    certificate = issue(scene)
    for headers in (certificate.headers, {HEADER: certificate.nginx}):
        answer = redeem(scene, client_id, headers)
        assert answer.ok
        assert answer.json["token_type"] == "Bearer"
        assert "cnf" not in scene.claims(answer.access_token)


def test_the_subject_lets_the_client_in(scene):
    """MTLS-01."""
    rule = ("tls_client_auth_subject_dn", "CN=app,O=Acme,C=DE")
    client_id = named(scene, certificate_name=rule)
    assert redeem(scene, client_id, issue(scene).headers).ok
    other = issue(scene, subject="CN=app,O=Acme,C=FR")
    answer = redeem(scene, client_id, other.headers)
    assert (answer.status, answer.reason) == (401, "certificate_of_another")


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda s: {}, "certificate_missing"),
        (lambda s: {HEADER: ""}, "certificate_missing"),
        (lambda s: {HEADER: "x"}, "certificate_malformed"),
        (lambda s: {HEADER: ":" + "A" * 20_000 + ":"}, "certificate_too_long"),
        (lambda s: issue(s, names=(dns("other.example"),)).headers, "certificate_of_another"),
        (lambda s: issue(s, names=()).headers, "certificate_of_another"),
        (lambda s: issue(s, ends=timedelta(seconds=-1)).headers, "certificate_not_valid_now"),
        (lambda s: issue(s, begins=timedelta(days=9)).headers, "certificate_not_valid_now"),
        (
            lambda s: Authority(s.clock()).issue(names=(dns("app.example"),)).headers,
            "certificate_not_trusted",
        ),
        (
            lambda s: self_signed(s.clock(), names=(dns("app.example"),)).headers,
            "certificate_not_trusted",
        ),
        (lambda s: issue(s, is_authority=True).headers, "certificate_not_trusted"),
    ],
    ids=range(11),
)
def test_no_other_certificate_does(scene, make, reason):
    """MTLS-01: one public sentence for all of it."""
    answer = attempt(scene, named(scene), make(scene))
    assert (answer.status, answer.error, answer.reason) == (401, "invalid_client", reason)
    assert answer.json["error_description"] == "client authentication failed"


def test_a_published_certificate_lets_the_client_in(scene):
    """MTLS-01: exactly this one; neither another of the same name nor one of an authority."""
    own = self_signed(scene.clock())
    client_id = published(scene, own)
    assert redeem(scene, client_id, own.headers).ok
    for other in (self_signed(scene.clock()), issue(scene)):
        answer = attempt(scene, client_id, other.headers)
        assert (answer.status, answer.reason) == (401, "certificate_not_registered")
    assert attempt(scene, client_id, {}).reason == "certificate_missing"


def test_certificates_behind_an_address_rotate(scene):
    """MTLS-01, ATK-49: a new one is looked up at once, invented ones are not."""
    old, new = self_signed(scene.clock()), self_signed(scene.clock())
    scene.web.serve(scene.host, Reply.json(old.jwks))
    client_id = scene.add_client(
        auth_method="self_signed_tls_client_auth",
        jwks_uri=scene.web.url(scene.host, "/jwks.json"),
    ).client.id
    assert attempt(scene, client_id, old.headers).reason == "code_unknown"
    scene.web.serve(scene.host, Reply.json(new.jwks))
    scene.clock.advance(seconds=31)
    assert attempt(scene, client_id, new.headers).reason == "code_unknown"
    before = scene.web.count(scene.host)
    for _ in range(10):
        answer = attempt(scene, client_id, self_signed(scene.clock()).headers)
        assert answer.reason == "certificate_not_registered"
    assert scene.web.count(scene.host) <= before + 1


def test_one_method_does_not_stand_in_for_another(scene):
    """MTLS-01, O21-13: neither a certificate for a secret or a key, nor the other way round."""
    certificate = issue(scene).headers
    key = ClientKey()
    by_secret = scene.add_client(auth_method="client_secret_post")
    by_key = scene.add_client(auth_method="private_key_jwt", jwks=key.jwks).client.id
    for client_id in (by_secret.client.id, by_key):
        assert attempt(scene, client_id, certificate).reason == "client_unauthenticated"
    by_name = named(scene)
    fields = {"grant_type": "refresh_token", "refresh_token": "x", "client_id": by_name}
    answer = scene.token({**fields, "client_secret": by_secret.secret}, **certificate)
    assert answer.reason == "secret_wrong"
    assertion = key.fields(by_name, scene.issuer, scene.clock())
    assert (
        scene.token({**fields, **assertion}, **certificate).reason == "auth_method_not_registered"
    )


@pytest.mark.parametrize("path", ["/introspect", "/revoke", "/par"])
def test_the_other_endpoints_take_certificates_too(scene, path):
    """MTLS-01, JB-25."""
    client_id = named(scene)
    fields = {**scene.request, "client_id": client_id, "token": "x"}
    assert scene.post(path, fields, **issue(scene).headers).status in (200, 201)
    answer = scene.post(path, fields)
    assert (answer.status, answer.reason) == (401, "certificate_missing")


# -- what tokens are bound to -----------------------------------------------------------------------------


def test_a_token_is_bound_to_the_certificate(scene):
    """MTLS-02, INT-01: `cnf` in the token and in introspection; the type stays Bearer."""
    client_id = named(scene, certificate_bound=True)
    certificate = issue(scene)
    answer = redeem(scene, client_id, certificate.headers)
    assert answer.json["token_type"] == "Bearer"
    confirmation = {"x5t#S256": certificate.thumbprint}
    assert scene.claims(answer.access_token)["cnf"] == confirmation
    for token in (answer.access_token, answer.refresh_token):
        fields = {"client_id": client_id, "token": token}
        found = scene.post("/introspect", fields, **certificate.headers).json
        assert (found["active"], found["cnf"]) == (True, confirmation)
    [event] = [e for e in scene.events("token.issued") if e["client"] == client_id]
    assert event["detail"]["bound"] == "certificate"


def test_a_bound_grant_needs_a_certificate_for_ever(scene):
    """MTLS-02, ATK-73: a confidential client may have renewed it; a public one proves itself by nothing else."""
    bound = {"certificate_bound": True}
    client_id = named(scene, **bound)
    answer = redeem(scene, client_id, issue(scene).headers)
    answer = refresh(scene, client_id, answer.refresh_token, (renewed := issue(scene)).headers)
    assert scene.claims(answer.access_token)["cnf"] == {"x5t#S256": renewed.thumbprint}

    public = scene.add_client(**bound).client.id
    own = self_signed(scene.clock())
    answer = redeem(scene, public, own.headers)
    assert scene.claims(answer.access_token)["cnf"] == {"x5t#S256": own.thumbprint}
    stolen = refresh(scene, public, answer.refresh_token, self_signed(scene.clock()).headers)
    assert (stolen.error, stolen.reason) == ("invalid_grant", "binding_other_key")
    stolen = refresh(scene, public, answer.refresh_token, {})
    assert (stolen.error, stolen.reason) == ("invalid_request", "certificate_missing")
    assert refresh(scene, public, answer.refresh_token, own.headers).ok


def test_a_bound_grant_stays_bound_when_its_client_is_not(scene):
    """ATK-72, ATK-73: no way back to bearer tokens."""
    from authz.db.models import Client

    client_id = scene.add_client(certificate_bound=True).client.id
    own = self_signed(scene.clock())
    answer = redeem(scene, client_id, own.headers)

    def unbind(tx, operator, tenant_id):
        row = tx.get_one(Client, (tenant_id, client_id))
        row.metadata_ = {
            n: v for n, v in row.metadata_.items() if not n.startswith("tls_client_certificate")
        }
        operator.changed(tx, tenant_id, "client.configure", client_id, {})

    scene.change(unbind)
    refused = refresh(scene, client_id, answer.refresh_token, own.headers)
    assert (refused.error, refused.reason) == ("invalid_grant", "binding_certificate_missing")


def test_a_client_that_asked_for_bound_tokens_gets_no_others(scene):
    """MTLS-02, ATK-72: nor any with two bindings."""
    client_id = scene.add_client(certificate_bound=True).client.id
    answer = redeem(scene, client_id, {})
    assert (answer.error, answer.reason) == ("invalid_request", "certificate_missing")
    proof = {"DPoP": DpopKey().proof(f"{scene.issuer}/token", scene.clock())}
    for headers in (proof, {**proof, **issue(scene).headers}):
        answer = redeem(scene, client_id, headers)
        assert (answer.error, answer.reason) == ("invalid_dpop_proof", "two_bindings")


def test_a_certificate_nobody_asked_for_means_nothing(scene):
    """MTLS-04: not even a broken one."""
    for headers in (issue(scene).headers, {HEADER: "broken"}):
        answer = redeem(scene, scene.client_id, headers)
        assert "cnf" not in scene.claims(answer.access_token)


def test_a_fapi_client_is_bound_to_what_it_came_with(scene):
    """FAPI-01, FAPI-03: to its certificate, or to the key of its proof where it sends one."""
    client_id = named(scene, fapi=True)
    certificate = issue(scene)
    answer = redeem(scene, client_id, certificate.headers)
    assert scene.claims(answer.access_token)["cnf"] == {"x5t#S256": certificate.thumbprint}
    again = refresh(scene, client_id, answer.refresh_token, certificate.headers)
    assert again.refresh_token == answer.refresh_token
    holder = DpopKey()
    proof = {"DPoP": holder.proof(f"{scene.issuer}/token", scene.clock())}
    answer = redeem(scene, client_id, {**proof, **certificate.headers})
    assert scene.claims(answer.access_token)["cnf"] == {"jkt": holder.jkt}
    proof = {"DPoP": holder.proof(f"{scene.issuer}/token", scene.clock())}
    assert redeem(scene, client_id, proof).reason == "certificate_missing"


# -- whom we believe --------------------------------------------------------------------------------------


def test_two_certificates_are_none(scene):
    """MTLS-04, ATK-70: a proxy that adds its header to the client's own, instead of replacing it."""
    client_id = named(scene)
    pairs = [(HEADER, issue(scene).rfc9440), (HEADER, issue(scene).rfc9440)]
    fields = {"grant_type": "refresh_token", "refresh_token": "x", "client_id": client_id}
    answer = scene.http.post(f"{scene.issuer}/token", data=fields, headers=pairs)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
    joined = {HEADER: ", ".join(value for _, value in pairs)}
    assert attempt(scene, client_id, joined).reason == "certificate_malformed"


@pytest.mark.parametrize(
    "settings",
    [
        {"trusted_proxies": ("192.0.2.1",), "client_certificate_header": HEADER},
        {"trusted_proxies": ("127.0.0.1",)},
        {"trusted_proxies": ("127.0.0.1",), "client_certificate_header": "X-Other"},
    ],
    ids=["not the proxy", "no header", "another header"],
)
def test_the_header_of_anybody_else_is_nothing(tmp_path, settings):
    """MTLS-04, ATK-70, META-02: and what does not work is not advertised."""
    with running(
        tmp_path, f"sqlite:///{tmp_path / 'authz.db'}", sections={"server": settings}
    ) as server:
        harness = Harness(server)
        own = self_signed(harness.clock())
        client_id = published(harness, own)
        for name in (HEADER, HEADER.lower(), "X-SSL-Client-Cert"):
            answer = attempt(harness, client_id, {name: own.rfc9440})
            assert (answer.status, answer.reason) == (401, "certificate_missing")
        found = harness.http.get(f"{harness.issuer}/.well-known/openid-configuration").json()
        methods = set(found["token_endpoint_auth_methods_supported"])
        is_on = "client_certificate_header" in settings
        assert ("self_signed_tls_client_auth" in methods) is is_on
        assert "tls_client_auth" not in methods
        assert "mtls_endpoint_aliases" not in found
        assert found.get("tls_client_certificate_bound_access_tokens", False) is is_on
        harness.close()


def test_the_metadata_says_where_certificates_are_asked_for(scene):
    """MTLS-03, META-02: the aliases of what programs call, below the base of its own."""
    found = scene.http.get(f"{scene.issuer}/.well-known/oauth-authorization-server").json()
    path = scene.issuer.removeprefix(scene.server.base)
    assert found["mtls_endpoint_aliases"] == {
        "token_endpoint": f"{ASIDE}{path}/token",
        "introspection_endpoint": f"{ASIDE}{path}/introspect",
        "revocation_endpoint": f"{ASIDE}{path}/revoke",
        "revocation_feed_endpoint": f"{ASIDE}{path}/revocation_feed",
        "pushed_authorization_request_endpoint": f"{ASIDE}{path}/par",
    }
    assert found["tls_client_certificate_bound_access_tokens"] is True
    for endpoint in ("token", "introspection", "revocation"):
        methods = found[f"{endpoint}_endpoint_auth_methods_supported"]
        assert {"tls_client_auth", "self_signed_tls_client_auth"} <= set(methods)


def test_a_proof_may_name_either_address(scene):
    """MTLS-03, DPOP-01: a client with a certificate and a DPoP key calls the alias."""
    client_id = named(scene)
    path = scene.issuer.removeprefix(scene.server.base)
    for address in (f"{scene.issuer}/token", f"{ASIDE}{path}/token"):
        headers = {"DPoP": DpopKey().proof(address, scene.clock()), **issue(scene).headers}
        assert redeem(scene, client_id, headers).json["token_type"] == "DPoP"
    headers = {"DPoP": DpopKey().proof(f"{ASIDE}/token", scene.clock()), **issue(scene).headers}
    assert redeem(scene, client_id, headers).reason == "dpop_htu"


# -- registering ------------------------------------------------------------------------------------------

RULE = ("tls_client_auth_san_dns", "app.example")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"auth_method": "tls_client_auth"}, "the one name"),
        ({"certificate_name": RULE}, "the one name"),
        ({"auth_method": "private_key_jwt", "certificate_name": RULE}, "a jwks"),
        ({"auth_method": "tls_client_auth", "certificate_name": ("cn", "x")}, "not one of"),
        ({"auth_method": "tls_client_auth", "certificate_name": (RULE[0], "")}, "compared"),
        (
            {
                "auth_method": "tls_client_auth",
                "certificate_name": RULE,
                "jwks_uri": "https://a.b/",
            },
            "keys are for",
        ),
        ({"auth_method": "self_signed_tls_client_auth"}, "a jwks"),
        ({"auth_method": "self_signed_tls_client_auth", "jwks": ClientKey().jwks}, "x5c"),
        ({"dpop_bound": True, "certificate_bound": True}, "bound to one thing"),
        ({"token_endpoint_audience": True}, "for private_key_jwt"),
    ],
    ids=lambda it: it if isinstance(it, str) else " ".join(it),  # keys differ in each process
)
def test_a_client_that_could_never_get_in_is_not_registered(values, message):
    """MTLS-01, JB-28."""
    with pytest.raises(Invalid, match=message):
        checked_metadata(Registration(**{"name": "App", "redirect_uris": (REDIRECT,), **values}))
