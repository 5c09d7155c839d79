"""ATK-66, V7, HAR-10: a value of its own for every secret that the server can be given, and none of them anywhere."""

import base64
import io
import json
import os
import time
import zipfile
from contextlib import closing, contextmanager
from urllib.parse import quote

import pytest
from passlib.hash import argon2
from sqlalchemy import text

from authz.admin import audit_export
from authz.admin.secret_readings import LoggedReadings, ReadingsTrail
from authz.db import Database
from authz.db.models import Base
from authz.installation.bundle import Installation, gather, pack
from tests.support.corporate import Corporate
from tests.support.databases import fresh_url
from tests.support.fake_idp import SECRET
from tests.support.harness import LOG, running
from tests.support.id_jags import JWT_BEARER, AssertingIdp, present
from tests.support.otlp import collecting
from tests.support.scim import directory
from tests.support.secret_stores import StoreServer

VAULT_TOKEN = "hvs.canary-of-vault-5a1d"
COLLECTOR_TOKEN = "Bearer canary-of-the-collector-b7e0"
DATABASE_WORD = "canary-of-database+/9c2e"
WORD = "canary of a person's password 7f3b"


@pytest.fixture(scope="module")
def store():
    with closing(StoreServer()) as made:
        made.tokens = {VAULT_TOKEN}
        made.put("database", {"value": DATABASE_WORD})
        made.put("okta", {"client_secret": SECRET})
        yield made


@pytest.fixture(scope="module")
def collector():
    with collecting() as made:
        yield made


@pytest.fixture(scope="module")
def server(store, collector, engine, worker, tmp_path_factory):
    folder = tmp_path_factory.mktemp("canaries")
    (folder / "token").write_text(VAULT_TOKEN)
    with (
        fresh_url(engine, folder, f"authz_canaries_{worker}") as database_url,
        role_of_its_own(database_url) as url,
        closing_server(folder, url, store, collector) as made,
    ):
        services = made.services
        trail = ReadingsTrail(services.database, services.configurations, "server")
        services.secrets.report_to(LoggedReadings(trail))
        made.kek = (folder / "authz.key").read_text().strip()
        yield made


@contextmanager
def closing_server(folder, url, store, collector):
    (folder / "collector").write_text(COLLECTOR_TOKEN)
    sections = {
        "telemetry": {
            "traces_endpoint": collector.endpoint,
            "traces_authorization": f"file:{folder}/collector",
            "traces_ratio": 1.0,
            "traces_delay": 0.05,
        },
        "vault": {"address": store.base, "token": f"file:{folder}/token"},
        "database": {"url": url, "password": "vault:database"},
    }
    with running(folder, url, sections=sections) as made:
        yield made


@contextmanager
def role_of_its_own(database_url):
    """On PostgreSQL, somebody whose password is the canary; the URL without one."""
    if database_url.startswith("sqlite"):
        yield database_url
        return
    admin = Database(database_url)
    with admin.write() as tx:
        tx.execute(text(f"CREATE ROLE authz_canary SUPERUSER LOGIN PASSWORD '{DATABASE_WORD}'"))
    try:
        url = admin.url._replace(username="authz_canary", password=None)
        yield url.render_as_string(hide_password=False)
    finally:
        with admin.write() as tx:
            tx.execute(text("REASSIGN OWNED BY authz_canary TO CURRENT_USER"))
            tx.execute(text("DROP ROLE authz_canary"))
        admin.close()


def forms(secret):
    """How it could be written: raw, base64 at each alignment, hex, and escaped for a URL or JSON."""
    raw = secret.encode()
    yield secret
    yield quote(secret, safe="")
    yield json.dumps(secret)[1:-1]
    yield raw.hex()
    for skipped in range(3):
        # What stands before decides how the text is cut; the characters at both ends depend on neighbours.
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            yield encode(b"x" * skipped + raw).decode().rstrip("=")[4 if skipped else 0 : -2]


def dump(database):
    """All rows of all tables, with bytes as they are."""
    with database.read() as tx:
        for table in Base.metadata.sorted_tables:
            for row in tx.connection().exec_driver_sql(f"SELECT * FROM {table.name}"):
                for cell in row:
                    if isinstance(cell, bytes | memoryview):
                        yield bytes(cell).decode("latin-1")
                    else:
                        yield str(cell)


def export(server, tenant_id):
    """The trail of a tenant as `authz audit export` writes it."""
    services, now = server.services, server.services.clock()
    with services.database.read() as tx:
        prepared = audit_export.prepare(tx, tenant_id, issuer="https://as.example", now=now)
        ring = services.configurations.load(tx, tenant_id).keys
    statement = audit_export.sign(ring, prepared, now)
    with services.database.read() as tx:
        return "\n".join(audit_export.lines(tx, prepared, statement))


def support_bundle(server, now):
    """Every file of it, as `authz support-bundle` writes it."""
    documents = gather(Installation(server.settings, server.services, "", now, {}))
    with zipfile.ZipFile(io.BytesIO(pack(documents))) as file:
        return "\n".join(file.read(name).decode() for name in file.namelist())


def spans(collector, *names):
    """All that came of a trace, once there is one of each name, as text and as it was sent."""
    deadline = time.monotonic() + 5
    while not all(collector.named(it) for it in names) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert {*names} <= {it.name for it in collector.spans}
    return repr(collector.spans) + b"".join(collector.bodies).decode("latin-1")


def test_no_secret_is_told_to_anybody(server, store, collector, harness):
    """Logins here and at a company, a code, a refresh, an ID-JAG, SCIM, and every one of them going wrong."""
    mark, secrets, told = len(LOG.events), {}, []
    secrets |= {
        "key-encryption key": server.kek,
        "vault token": VAULT_TOKEN,
        "collector token": COLLECTOR_TOKEN.removeprefix("Bearer "),
        "database password": DATABASE_WORD,
        "client secret at the provider": SECRET,
        "password": WORD,
    }

    # Somebody with a password, right and wrong, and what comes of it.
    cheap = argon2.using(type="ID", memory_cost=8, rounds=1, parallelism=1)
    harness.add_user("canary@example.com", cheap.hash(WORD))
    harness.import_roles(
        "roles: {developer: [logs.read]}\nbindings: [{role: developer, users: [canary@example.com]}]"
    )
    browser = harness.browser("canary@example.com")
    page = browser.start()
    wrong = secrets["wrong password"] = f"{WORD} but wrong"
    told.append(browser.sign_in(page, password=wrong).text)
    page = browser.sign_in(browser.start(), password=WORD)
    code = (browser.decide(page) if page.is_consent else page).code
    secrets["session"] = next(iter(browser.http.cookies.values()))
    secrets["code"] = code
    answer = harness.redeem(code)
    assert answer.ok, answer.reason
    secrets |= {"access token": answer.access_token, "refresh token": answer.refresh_token}
    told.append(harness.redeem(code).response.text)
    # A code that comes twice ends its grant, so another one is refreshed.
    page = browser.start()
    code = secrets["second code"] = (browser.decide(page) if page.is_consent else page).code
    first = harness.redeem(code)
    renewed = harness.refresh(first.refresh_token)
    assert renewed.ok, renewed.reason
    secrets |= {"first refresh": first.refresh_token, "next refresh": renewed.refresh_token}
    secrets["next token"] = renewed.access_token
    told.append(harness.refresh(f"{renewed.refresh_token}x").response.text)

    # A client with a secret, right and wrong; assertions, good and bad.
    idp = AssertingIdp()
    idp.trust_at(harness)
    agent = harness.add_client(
        auth_method="client_secret_post", grant_types=(JWT_BEARER,), redirect_uris=()
    )
    secrets["client secret"] = agent.secret
    secrets["assertion"] = idp.assertion(harness, agent.client.id)
    present(harness, agent, secrets["assertion"])
    told.append(present(harness, agent, secrets["assertion"]).response.text)
    told.append(present(harness, agent, f"{secrets['assertion']}x").response.text)
    secrets["wrong secret"] = "canary-of-a-wrong-client-secret-11aa"
    fields = {"client_id": agent.client.id, "client_secret": secrets["wrong secret"]}
    told.append(harness.token({**fields, "grant_type": JWT_BEARER, "assertion": "x"}).response.text)

    # A directory, with its token and with another.
    scim = directory(harness)
    secrets["provisioning token"] = scim.token
    assert scim.create("ada@corp.example").status == 201
    told.append(scim.create("ada@corp.example").response.text)
    secrets["wrong provisioning token"] = scim.token = f"{scim.token[:-4]}zzzz"
    told.append(scim.create("bob@corp.example").response.text)

    # A company's provider, by a secret in the store: read, then denied, then not to be had.
    corp = Corporate(harness, "okta", settings={"client_secret": "vault:okta#client_secret"})
    corp.map("groups", "dev", "developer")
    corp.idp.person["groups"] = ["dev"]
    secrets["code after the provider"] = corp.authorize(harness.browser()).code
    for status, is_denied in ((None, True), (503, False)):
        harness.clock.advance(hours=2)
        store.status, store.is_denied = status, is_denied
        page = corp.authorize(harness.browser())
        told.append(page.text)
        assert page.status == (403 if is_denied else 503), page.reason
    store.status, store.is_denied = None, False

    bundle = support_bundle(server, harness.clock())
    server.services.secrets.close()
    metrics = harness.http.get(f"{server.base}/metrics").text
    assert "authz_secret_readings_total" in metrics
    places = {
        "log": "\n".join(map(repr, LOG.events[mark:])),
        "metrics": metrics,
        "answers": "\n".join(told),
        "database": "\n".join(dump(server.database)),
        "settings": repr(server.settings) + str(server.settings.redacted()),
        "objects": repr(server.services) + repr(server.edge),
        "traces": spans(collector, "POST token", "sign", "fetch"),
        "export of the trail": export(server, harness.tenant_id),
        "support bundle": bundle,
    }
    assert "secret.read" in places["database"]
    assert "vault:okta#client_secret" in places["database"]
    assert "file:" in bundle
    assert '"missing"' not in bundle
    assert '"event": 1' in places["export of the trail"]
    assert all(len(it) > 100 for it in places.values())
    found = [
        (kind, where)
        for kind, secret in secrets.items()
        for where, said in places.items()
        if any(it in said for it in forms(secret))
    ]
    assert found == []


def test_the_search_finds_what_is_there():
    """A search that finds nothing because it cannot is worth nothing."""
    secret = "canary-of-the-search/4d"
    written = [
        secret,
        quote(secret, safe=""),
        secret.encode().hex(),
        *(base64.b64encode(os.urandom(n) + secret.encode() + b"!!").decode() for n in range(6)),
    ]
    for it in written:
        assert any(form in f"a {it} b" for form in forms(secret)), it
    assert not any(it in "canary-of-another" for it in forms(secret))
