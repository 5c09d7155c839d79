"""The configuration: one file, environment over it, errors that say what to do (D8, ATK-74, V2)."""

from pathlib import Path

import pytest

from authz.clock import system_clock
from authz.errors import ConfigurationError
from authz.secretstores import SecretStores, Setup
from authz.secretstores.sections import Secrets
from authz.settings import load

ISSUER = "https://auth.example"


def loaded(**sections):
    return load(None, environment={}, overrides={"server": {"issuer": ISSUER}} | sections)


def refused(**sections):
    with pytest.raises(ConfigurationError) as error:
        loaded(**sections)
    return str(error.value)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """No authz.toml of whoever runs the tests."""
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    "issuer",
    [
        ISSUER,
        "https://auth.example:8443",
        "https://auth.example/a/b",
        "https://xn--bcher-kva.example",
    ],
)
def test_good_issuers(issuer):
    assert loaded(server={"issuer": issuer}).server.issuer == issuer


@pytest.mark.parametrize(
    ("issuer", "problem"),
    [
        ("https://auth.example/", "ends with a slash"),
        ("https://auth.example/a/", "ends with a slash"),
        ("https://auth.example?x=1", "has a query"),
        ("https://auth.example#x", "has a fragment"),
        ("https://Auth.example", "capitals"),
        ("https://auth.example:443", "default port"),
        ("http://auth.example", "is not https"),
        ("HTTPS://auth.example", "is not https"),
        ("http://127.0.0.1:8080", "is not https"),
        ("ftp://auth.example", "is not https"),
        ("auth.example", "not absolute"),
        ("https://user@auth.example", "user information"),
        ("https://auth.example/a/../b", "dot segments"),
        ("https://auth.example//a", "empty path segment"),
        ("https://bücher.example", "characters of a URL"),
        ("https://auth.example\n", "characters of a URL"),
        ("https://", "no usable host"),
        ("https://auth.example:0", "bad port"),
        ("https://auth.example:99999", "bad port"),
        ("", "characters of a URL"),
    ],
)
def test_wrong_issuers_are_refused_with_the_reason(issuer, problem):
    """MCP-AS-15, MCP-AS-03, ISS-01, O21-27: one spelling only, because clients compare it as a string."""
    sentence = refused(server={"issuer": issuer})
    assert "issuer" in sentence
    assert problem in sentence


def test_no_issuer_is_refused_with_the_way_out():
    with pytest.raises(ConfigurationError, match="authz init --issuer"):
        load(None, environment={}, overrides={})


@pytest.mark.parametrize("issuer", ["http://127.0.0.1:8080", "http://localhost", "http://[::1]:9"])
def test_development_is_for_loopback(issuer):
    """CIMD-15, ATK-74."""
    assert loaded(server={"issuer": issuer, "development": True}).server.development


def test_development_with_a_public_issuer_does_not_start():
    """CIMD-15, ATK-74."""
    assert "not on loopback" in refused(server={"issuer": ISSUER, "development": True})
    assert "not on loopback" in refused(
        server={"issuer": "https://127.0.0.1.evil.example", "development": True}
    )


@pytest.mark.parametrize(
    ("sections", "fragments"),
    [
        ({"server": {"issuer": ISSUER, "isuer": "x"}}, ["server.isuer", "is not a setting"]),
        ({"nonsense": {"a": 1}}, ["nonsense", "is not a setting"]),
        ({"tokens": {"code": 601}}, ["tokens.code", "601"]),
        ({"tokens": {"code": 0}}, ["tokens.code"]),
        ({"tokens": {"access_token": -1}}, ["tokens.access_token"]),
        ({"tokens": {"retry_window": 601}}, ["tokens.retry_window"]),
        ({"server": {"issuer": ISSUER, "port": 70000}}, ["server.port", "70000"]),
        ({"server": {"issuer": ISSUER, "workers": 2}}, ["workers", "SQLite", "PostgreSQL"]),
        ({"keys": {"algorithm": "HS256"}}, ["keys.algorithm", "ES256"]),
        ({"keys": {"algorithm": "none"}}, ["keys.algorithm"]),
        ({"database": {"url": "mysql://x"}}, ["database.url", "postgresql://"]),
        ({"network": {"ca_file": "x.pem"}}, ["network.ca_file", "development only"]),
        ({"log": {"level": "loud"}}, ["log.level", "loud"]),
        (
            {"server": {"issuer": ISSUER, "client_certificate_header": "Client-Cert"}},
            ["client_certificate_header", "trusted_proxies"],
        ),
        (
            {"server": {"issuer": ISSUER, "mtls_base": "https://mtls.example"}},
            ["mtls_base", "client_certificate_header"],
        ),
        (
            {"server": {"issuer": ISSUER, "client_certificate_authorities": "ca.pem"}},
            ["client_certificate_authorities", "client_certificate_header"],
        ),
        (
            {
                "server": {
                    "issuer": ISSUER,
                    "trusted_proxies": ["10.0.0.1"],
                    "client_certificate_header": "Client-Cert",
                    "mtls_base": "http://mtls.example",
                }
            },
            ["server.mtls_base"],
        ),
        (
            {
                "server": {
                    "issuer": ISSUER,
                    "trusted_proxies": ["10.0.0.1"],
                    "client_certificate_header": "Client Cert",
                }
            },
            ["client_certificate_header"],
        ),
    ],
)
def test_wrong_values_are_refused_by_name(sections, fragments):
    sentence = refused(**sections)
    for fragment in fragments:
        assert fragment in sentence


def test_all_wrong_values_are_named_at_once():
    sentence = refused(log={"level": "loud"}, keys={"algorithm": "x"})
    assert "log.level" in sentence
    assert "keys.algorithm" in sentence


def test_the_environment_is_over_the_file_and_the_command_line_over_both(tmp_path):
    file = tmp_path / "authz.toml"
    file.write_text(f"[server]\nissuer = '{ISSUER}'\nport = 1\nhost = 'a'\n[tokens]\ncode = 30\n")
    environment = {
        "AUTHZ__SERVER__PORT": "2",
        "AUTHZ__SERVER__HOST": "b",
        "AUTHZ__SERVER__TRUSTED_PROXIES": "[10.0.0.1,10.0.0.2]",
        "OTHER": "x",
    }
    it = load(file, environment=environment, overrides={"server": {"port": 3}})
    assert (it.server.port, it.server.host) == (3, "b")
    assert it.server.trusted_proxies == ("10.0.0.1", "10.0.0.2")
    assert it.tokens.code.total_seconds() == 30


@pytest.mark.parametrize("name", ["AUTHZ__SERVER__ISUER", "AUTHZ__NONSENSE__A", "AUTHZ__SERVER"])
def test_an_unknown_variable_is_an_error(name):
    """A typing error must not be a default."""
    with pytest.raises(ConfigurationError, match="is not a setting"):
        load(None, environment={"AUTHZ__SERVER__ISSUER": ISSUER, name: "x"})


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(ConfigurationError, match="does not exist"):
        load(tmp_path / "absent.toml", environment={})
    bad = tmp_path / "bad.toml"
    bad.write_text("[server\n")
    with pytest.raises(ConfigurationError, match="not valid TOML"):
        load(bad, environment={})
    bad.write_text("server = 3\n")
    with pytest.raises(ConfigurationError, match=r"server must be a section"):
        load(bad, environment={})


def test_paths_are_relative_to_the_file(tmp_path):
    folder = tmp_path / "etc"
    folder.mkdir()
    file = folder / "authz.toml"
    file.write_text(
        f"[server]\nissuer = '{ISSUER}'\ntrusted_proxies = ['10.0.0.1']\n"
        "client_certificate_header = 'Client-Cert'\nclient_certificate_authorities = 'ca.pem'\n"
    )
    it = load(file, environment={})
    assert it.server.client_certificate_authorities == folder / "ca.pem"
    assert it.database.url == f"sqlite:///{folder / 'authz.db'}"
    assert it.keys.encryption_key == f"file:{folder / 'authz.key'}"


def test_settings_do_not_change():
    it = loaded()
    with pytest.raises(Exception, match="frozen"):
        it.server.port = 1


# -- secrets ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("literal", ["hunter2hunter2", "c2VjcmV0c2VjcmV0", "nowhere:x", "env", ""])
def test_a_literal_secret_is_refused_and_not_repeated(literal):
    """V2, ATK-66: the error goes to a terminal and a log."""
    sentence = refused(keys={"encryption_key": literal})
    assert "keys.encryption_key" in sentence
    assert len(literal) < 4 or literal not in sentence


@pytest.mark.parametrize(
    ("section", "values"),
    [
        ("pkcs11", {"pin": 123459876}),
        ("pkcs11", {"token": 123459876}),
        ("server", {"issuer": "https://a:123459876@auth.example"}),
        ("server", {"issuer": "https://a:123459876/x@auth.example"}),
        ("server", {"issuer": ISSUER, "port": "123459876x"}),
        ("vault", {"address": "https://a:123459876@vault.example", "token": "file:t"}),
        ("vault", {"address": "https://a:123459876/x@vault.example", "token": "file:t"}),
        ("vault", {"address": "hvs.123459876", "token": "file:t"}),
        ("vault", {"address": "https://v.example", "token": "hvs.123459876"}),
        ("telemetry", {"traces_endpoint": "https://a:123459876@otel.example/v1/traces"}),
        ("telemetry", {"traces_endpoint": "x-key 123459876"}),
        ("telemetry", {"traces_authorization": 123459876}),
        ("telemetry", {"metrics_networks": ["123459876.x"]}),
        ("keys", {"further_encryption_keys": "123459876"}),
        ("keys", {"further_encryption_keys": ["123459876"]}),
        ("database", "postgresql://a:123459876@db.example/a"),
    ],
    ids=range(16),
)
def test_no_refusal_repeats_what_may_be_a_secret(section, values, tmp_path):
    """V2, ATK-66: whatever its setting is called, and wherever in an address it stands."""
    with pytest.raises(ConfigurationError) as error:
        load(None, environment={}, overrides={"server": {"issuer": ISSUER}, section: values})
    assert section in str(error.value)
    assert "123459876" not in str(error.value)


EVERYWHERE = {
    "keys": {"encryption_key": "file:kek", "further_encryption_keys": ["file:older"]},
    "database": {"url": "postgresql://a@db.example/a", "password": "file:word"},
    "network": {"proxy": "http://a@proxy.example:1", "proxy_password": "file:proxy"},
    "pkcs11": {"pin": "file:pin"},
    "telemetry": {"traces_authorization": "file:collector"},
    "vault": {"address": "https://v.example", "token": "file:vault"},
    "aws": {"access_key_id": "A", "secret_access_key": "file:aws"},
    "gcp": {"project": "p", "credentials": "file:gcp"},
    "azure": {
        "vault": "https://v.example",
        "tenant": "t",
        "client_id": "c",
        "client_secret": "file:azure",
    },
    "client": [
        {
            "id": "web",
            "name": "Web",
            "auth_method": "client_secret_basic",
            "grant_types": ["client_credentials"],
            "secret": "file:web",
        }
    ],
    "audit": {
        "sink": [
            {"name": "siem", "kind": "webhook", "url": "https://s.example", "secret": "file:sink"}
        ]
    },
}


def test_every_reference_of_the_file_is_known_and_below_it(tmp_path):
    """V2: what is checked at start, refused by strict mode, and read from beside the file; no setting is left out."""
    it = loaded(**EVERYWHERE)
    found = dict(it.references())
    assert found.keys() == {
        *("keys.encryption_key", "keys.further_encryption_keys", "database.password"),
        *("network.proxy_password", "pkcs11.pin", "telemetry.traces_authorization"),
        *("vault.token", "aws.secret_access_key", "gcp.credentials", "azure.client_secret"),
        *("client 'web'.secret", "audit.sink 'siem'.secret"),
    }
    assert all(Path(where.removeprefix("file:")).parent == tmp_path for where in found.values())
    assert not any(str(tmp_path) in str(it) for it in EVERYWHERE["client"])


@pytest.mark.parametrize(
    ("sections", "where"),
    [
        ({"pkcs11": {"pin": "env:PIN"}}, "pkcs11.pin"),
        ({"telemetry": {"traces_authorization": "env:T"}}, "telemetry.traces_authorization"),
        ({"keys": {"further_encryption_keys": ["env:KEK"]}}, "keys.further_encryption_keys"),
    ],
    ids=range(3),
)
def test_strict_mode_refuses_a_variable_wherever_it_is_named(sections, where):
    """V2, ATK-74."""
    assert f"{where} is 'env:" in refused(**sections, secrets={"strict": True})


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://authz:hunter2@db.example/authz",
        "postgresql+psycopg://authz:hunter2@db.example/authz",
        "postgresql://authz:hun@ter:hunter2@db.example/authz",
        "postgresql://db.example/authz?user=authz&password=hunter2",
    ],
)
def test_what_is_shown_has_no_password(url):
    """V2, V7."""
    it = loaded(database={"url": url}, network={"proxy": "http://me:hunter2@proxy.example:3128"})
    shown = str(it.redacted())
    assert "hunter2" not in shown
    assert "db.example" in shown
    assert "proxy.example" in shown


def test_references_are_resolved(tmp_path, monkeypatch):
    """V2."""
    (tmp_path / "s").write_bytes(b"value\n")
    monkeypatch.setenv("A_SECRET", "other")
    stores = SecretStores(Setup(Secrets()), system_clock)
    assert stores.resolve(f"file:{tmp_path / 's'}") == b"value"
    assert stores.resolve("env:A_SECRET") == b"other"
    (tmp_path / "s").write_bytes(b"renewed\n")
    assert stores.resolve(f"file:{tmp_path / 's'}") == b"renewed"


@pytest.mark.parametrize(
    ("reference", "problem"),
    [
        ("env:AUTHZ_NO_SUCH", "is not set"),
        ("file:/no/such/file", "does not exist"),
        ("file:/", "cannot be read"),
        ("vault:x", "needs the section"),
        ("literal", "not a secret reference"),
        ("env:", "not a secret reference"),
        ("file:/dev/null", "is empty"),
    ],
)
def test_a_secret_that_is_not_there_stops_the_start(reference, problem):
    """V2, ATK-74: the sentence names the setting, the reference and the way out."""
    with pytest.raises(ConfigurationError, match=f"^keys.encryption_key: .*{problem}"):
        SecretStores(Setup(Secrets()), system_clock).require("keys.encryption_key", reference)
