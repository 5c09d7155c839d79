"""The description of the JSON surface, held against the running server over its socket (ATK-44, ATK-63)."""

from pathlib import Path

import httpx2
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from starlette.routing import Route

from authz.admin import resources, tenants
from authz.app import routes
from authz.oauth.grants import GRANTS
from authz.policy.administration import ADMIN_PATH
from authz.web import openapi, openapi_admin
from authz.web.api.desk import VERSION
from authz.web.api.registry import API
from authz.web.edge import TENANT_PATH
from authz.web.later import Unloaded
from tests.support import admin_api, scim
from tests.support.arrange import REDIRECT, VERIFIER
from tests.support.harness import RESOURCE
from tests.support.leaving import SESSION_REVOKED, Provider
from tests.support.outcomes import Reporter, outcome
from tests.support.plain_http import NO_TLS

WRITTEN = Path(__file__).parents[2] / "docs" / "openapi.json"
# A token as a whole body is text.
schemathesis.serializer.alias("application/secevent+jwt", "text/plain")
DESCRIPTION = openapi.description()
SCHEMA = schemathesis.openapi.from_dict(DESCRIPTION)
OPERATIONS = {
    operation.definition.raw["operationId"]: operation
    for operation in (found.ok() for found in SCHEMA.get_all_operations())
}
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
# PostgreSQL is the stricter one about text; the surface is the same on both.
stricter = pytest.mark.only("postgresql")
PAGES = tuple(
    f"{TENANT_PATH}/{page}/"
    for page in (
        *("authorize", "login", "logout", "consent", "device", "clients", "federation"),
        *("console", "account"),
    )
)
"""For people."""
FOR_PROVIDERS = "/backchannel-logout"
"""For a program, below the addresses of a connection, which are for browsers."""


def test_the_written_description_is_the_current_one():
    """`python -m authz.web.openapi > docs/openapi.json` writes it."""
    assert WRITTEN.read_text(encoding="utf-8") == openapi.text()
    assert list(GRANTS) == _form("token")["grant_type"]["enum"]


def _form(name):
    body = OPERATIONS[name].definition.raw["requestBody"]["content"]
    return body["application/x-www-form-urlencoded"]["schema"]["properties"]


def test_every_route_for_programs_is_described(server):
    """A new endpoint takes a line in `web.openapi`."""
    described = {
        (path.replace("/t/{slug}", TENANT_PATH), method.upper())
        for path, operations in DESCRIPTION["paths"].items()
        for method in operations
        if method != "parameters"
    }
    served = {
        (route.path, method)
        for route in _routes(server)
        for method in route.methods - {"HEAD", "OPTIONS"}
        if TENANT_PATH in route.path or route.path.startswith("/health")
    }
    programs = {
        (path, method)
        for path, method in served
        if (not f"{path}/".startswith(PAGES) or path.endswith(FOR_PROVIDERS))
        and path != TENANT_PATH
        # The same documents at the other places where clients look (MCP-AS-10 to -12).
        and not path.startswith(f"{TENANT_PATH}/.well-known")
        # Where there is nothing, SCIM says so in its own form.
        and not path.endswith(("{path:path}", "{path:whole}"))
    }
    # The admin API is one route, and described from the registry that it serves.
    assert programs == {it for it in described if f"{ADMIN_PATH}{VERSION}/" not in it[0]}
    administration = {openapi_admin.name_of(it) for area in API.values() for it in area}
    assert administration == {it for it in OPERATIONS if it.startswith("admin_")} - {
        "admin_resource"
    }


def _routes(server):
    found = []
    for route in routes(server.edge):
        if isinstance(route, Route):
            is_later = isinstance(route.endpoint, Unloaded)
            found += route.endpoint.load().routes if is_later else [route]
    return found


@pytest.fixture
def open_(harness):
    with harness.server.database.write() as tx:
        tenants.set_registration(tx, harness.server.operator(), slug=harness.slug, mode="open")
    return harness


@pytest.fixture
def known(open_):
    """A confidential client that may do everything, and its secret."""
    made = open_.add_client(
        client_id="everything",
        auth_method="client_secret_basic",
        grant_types=tuple(GRANTS),
    )
    return made.client.id, made.secret


@stricter
@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_whatever_is_sent_is_answered_as_described(open_, known, name):
    """No 5xx, no undescribed status, media type or member."""
    operation = OPERATIONS[name]
    slug = {} if name.startswith("health") else {"slug": open_.slug}
    others = {
        "client_id": known[0],
        "connection": "corp",
        "stream": "signals",
        "list": "stl_unknown",
        "id": open_.users["dev"],
    }
    slug |= {part: value for part, value in others.items() if f"{{{part}}}" in operation.path}
    inputs = st.one_of(
        operation.as_strategy(mode, path_parameters=slug)
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
        if mode is GenerationMode.POSITIVE or "requestBody" in operation.definition.raw
    )
    own = httpx2.BasicAuth(*known)._auth_header
    if name.startswith("scim_"):
        own = f"Bearer {scim.add_token(open_)}"
    if name.startswith("admin_"):
        own = f"Bearer {admin_api.client(open_, 'owner').token}"
    credentials = st.sampled_from([None, None, own])

    examples = 20 if "requestBody" in operation.definition.raw else 4
    if name.startswith("admin_"):
        examples = min(examples, 8)  # they are many, and all read by the same few lines

    # Of `Me` 501 is the answer that is described (RFC 7644 §3.11): a provisioning client is nobody.
    is_me = name.startswith("scim_") and name.endswith("_me")
    checks = [it for it in CHECKS if not (is_me and it is not_a_server_error)]
    with requests.Session() as session:
        session.trust_env = False

        @settings(
            max_examples=examples,
            derandomize=True,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(inputs, credentials)
        def tried(case, authorization):
            headers = None if authorization is None else {"Authorization": authorization}
            response = case.call(
                base_url=open_.server.base, session=session, headers=headers, timeout=30
            )
            case.validate_response(response, checks=checks)

        tried()


@stricter
def test_what_succeeds_is_answered_as_described(open_, known):
    """Every operation once with what it is for; generated requests hardly ever get this far."""
    client_id, secret = known
    http = httpx2.Client(trust_env=False, verify=NO_TLS, timeout=30, auth=(client_id, secret))
    plain = httpx2.Client(trust_env=False, verify=NO_TLS, timeout=30)
    issuer, base = open_.issuer, open_.server.base
    seen = set()

    def answered(name, response, status=200):
        assert response.status_code == status, response.text
        OPERATIONS[name].validate_response(response)
        seen.add(name)
        return response

    post = http.post
    page = open_.browser().authorize(client_id=client_id, scope="logs.read offline_access openid")
    tokens = answered(
        "token",
        post(
            f"{issuer}/token",
            data={
                "grant_type": "authorization_code",
                "code": page.code,
                "redirect_uri": REDIRECT,
                "code_verifier": VERIFIER,
            },
        ),
    ).json()
    for token in (tokens["access_token"], tokens["refresh_token"], "unknown"):
        answered("introspect", post(f"{issuer}/introspect", data={"token": token}))
    signed = {"Accept": "application/token-introspection+jwt"}
    answered("introspect", post(f"{issuer}/introspect", data={"token": "x"}, headers=signed))
    answered("revoke", post(f"{issuer}/revoke", data={"token": tokens["access_token"]}))
    reporter = Reporter(open_)
    told = {"batch": reporter.batch(outcome(open_.clock()))}
    answered("report_outcomes", plain.post(f"{issuer}/outcomes", data=reporter.fields(**told)))
    open_.change(resources.set_client, RESOURCE, client_id)
    open_.change(resources.set_status_list, RESOURCE, wanted=True)
    listed = open_.redeem(
        open_.code(client_id=client_id), client_id=client_id, client_secret=secret
    )
    uri = open_.claims(listed.access_token)["status"]["status_list"]["uri"]
    answered("status_list", plain.get(uri))
    feed = f"{issuer}/revocation_feed"
    answered("post_revocation_feed", post(feed, data={"after": "0", "wait": "0"}))
    answered("get_revocation_feed", http.get(feed, params={"after": "0"}))
    request = {name: value for name, value in open_.request.items() if name != "client_id"}
    answered("par", post(f"{issuer}/par", data=request), 201)
    answered(
        "device_authorization", post(f"{issuer}/device_authorization", data={"scope": "logs.read"})
    )

    person = open_.browser().authorize(client_id=client_id, scope="openid", resource=None)
    alone = post(
        f"{issuer}/token",
        data={
            "grant_type": "authorization_code",
            "code": person.code,
            "redirect_uri": REDIRECT,
            "code_verifier": VERIFIER,
        },
    ).json()
    bearer = {"Authorization": f"Bearer {alone['access_token']}"}
    answered("userinfo_get", plain.get(f"{issuer}/userinfo", headers=bearer))
    answered("userinfo_post", plain.post(f"{issuer}/userinfo", headers=bearer))

    metadata = {"redirect_uris": [REDIRECT], "client_name": "App"}
    made = answered("register", plain.post(f"{issuer}/register", json=metadata), 201).json()
    own = made["registration_client_uri"]
    bearer = {"Authorization": f"Bearer {made['registration_access_token']}"}
    answered("read_registration", plain.get(own, headers=bearer))
    update = {**metadata, "client_id": made["client_id"]}
    answered("replace_registration", plain.put(own, json=update, headers=bearer))
    answered("remove_registration", plain.delete(own, headers=bearer), 204)

    provider = Provider(open_, "corp")
    provider.add_stream()
    told = {"logout_token": provider.logout_token(sub="nobody")}
    url = f"{issuer}/federation/corp/backchannel-logout"
    answered("backchannel_logout", plain.post(url, data=told))
    headers = {
        "Authorization": f"Bearer {provider.push_token}",
        "Content-Type": "application/secevent+jwt",
    }
    event = provider.event(SESSION_REVOKED, {"format": "opaque", "id": "nobody"})
    pushed = plain.post(f"{issuer}/signals/signals", content=event, headers=headers)
    answered("push_security_event", pushed, 202)

    for name, path in (
        ("oauth_authorization_server", f"/.well-known/oauth-authorization-server/t/{open_.slug}"),
        ("openid_configuration", f"/.well-known/openid-configuration/t/{open_.slug}"),
        ("jwks", f"/t/{open_.slug}/jwks"),
        (
            "admin_resource",
            f"/.well-known/oauth-protected-resource/t/{open_.slug}/api/admin",
        ),
    ):
        first = answered(name, plain.get(f"{base}{path}"))
        again = {"If-None-Match": first.headers["etag"]}
        answered(name, plain.get(f"{base}{path}", headers=again), 304)
    answered("health_live", plain.get(f"{base}/health/live"))
    answered("health_ready", plain.get(f"{base}/health/ready"))
    answered("health_startup", plain.get(f"{base}/health/startup"))
    _transmit(open_, http, plain, answered)
    _provision(scim.directory(open_), answered)
    # What the admin API answers is in `test_openapi_admin`.
    assert seen == {it for it in OPERATIONS if not it.startswith("admin_")} | {"admin_resource"}
    http.close()
    plain.close()


def _transmit(harness, http, plain, answered):
    """Every operation of Shared Signals once."""
    issuer = harness.issuer
    fields = {"grant_type": "client_credentials", "resource": f"{issuer}/ssf"}
    token = http.post(f"{issuer}/token", data=fields).json()["access_token"]
    headers = {"Authorization": f"Bearer {token}"}

    def done(name, method, path, status=200, **sent):
        url = f"{issuer}/ssf/{path}"
        return answered(f"ssf_{name}", plain.request(method, url, headers=headers, **sent), status)

    first = answered(
        "ssf_configuration",
        plain.get(f"{harness.server.base}/.well-known/ssf-configuration/t/{harness.slug}"),
    )
    assert first.json()["issuer"] == issuer
    made = done("create", "POST", "streams", 201, json={"description": "here"}).json()
    one = {"stream_id": made["stream_id"]}
    done("read", "GET", "streams")
    done("read", "GET", "streams", params=one)
    done("update", "PATCH", "streams", json={**one, "description": "there"})
    done("replace", "PUT", "streams", json=one)
    done("read_status", "GET", "status", params=one)
    done("set_status", "POST", "status", json={**one, "status": "enabled"})
    subject = {"format": "iss_sub", "iss": issuer, "sub": "usr_unknown"}
    done("add_subject", "POST", "subjects/add", json={**one, "subject": subject})
    done("remove_subject", "POST", "subjects/remove", 204, json={**one, "subject": subject})
    done("verify", "POST", "verify", 204, json={**one, "state": "x"})
    done("poll", "POST", f"poll/{made['stream_id']}", json={"returnImmediately": True})
    done("delete", "DELETE", "streams", 204, params=one)


def _provision(directory, answered):
    """Every SCIM operation once."""

    def done(name, path, body=None, status=200, **headers):
        method = name.partition("_")[0].upper()
        reply = directory.ask(method, path, body, **headers)
        answered(f"scim_{name}", reply.response, status)
        return reply

    for name in ("ServiceProviderConfig", "ResourceTypes", "Schemas"):
        done(f"get_{name.lower()}", name)
    done("get_resourcetypes_one", "ResourceTypes/User")
    done("get_schemas_one", f"Schemas/{scim.USER}")
    for method in ("get", "post", "put", "patch", "delete"):
        done(f"{method}_me", "Me", {} if method in ("post", "put", "patch") else None, 501)
    search = {"filter": 'id eq "x"'}
    done("post_search", ".search", search)
    person = {"schemas": [scim.USER], "userName": "ada@corp.example"}
    group = {"schemas": [scim.GROUP], "displayName": "engineering"}
    change = {"op": "replace", "path": "externalId", "value": "7"}
    patch = {"schemas": [scim.PATCH], "Operations": [change]}
    for plural, body, patched in (("Users", person, 200), ("Groups", group, 204)):
        name = plural.lower()
        one = f"{plural}/{done(f'post_{name}', plural, body, 201).id}"
        done(f"get_{name}", plural)
        done(f"post_{name}_search", f"{plural}/.search", search)
        tag = done(f"get_{name}_one", one).response.headers["etag"]
        done(f"get_{name}_one", one, status=304, If_None_Match=tag)
        done(f"put_{name}_one", one, body)
        done(f"patch_{name}_one", one, patch, patched)
        done(f"delete_{name}_one", one, status=204)
    operation = {"method": "POST", "path": "/Users", "bulkId": "1", "data": person}
    done("post_bulk", "Bulk", {"Operations": [operation]})
