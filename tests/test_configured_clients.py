"""Clients declared in the configuration file: the database agrees with the file, and only a difference is a change."""

from dataclasses import replace
from datetime import timedelta

import pytest

from authz import entropy, jobs
from authz.admin import clients, configured_clients
from authz.errors import ConfigurationError, Conflict, NotFound
from authz.settings import ConfiguredClient, load


def declared(harness, **members):
    values = {
        "id": "ops-web",
        "tenant": harness.slug,
        "name": "Ops Web",
        "redirect_uris": ("https://ops.example/cb",),
        "auth_method": "client_secret_basic",
        "secret": "env:OPS_SECRET",
        **members,
    }
    return ConfiguredClient.model_validate(values)


def apply(harness, one, secret="a-long-random-secret"):
    with harness.server.database.write() as tx:
        return configured_clients.apply(
            tx, harness.server.operator(), one, secret, harness.server.settings
        )


def test_it_is_added_once_and_changed_only_when_the_file_changes(harness):
    assert apply(harness, declared(harness)) == "added"
    version = harness.tenant().config_version
    assert apply(harness, declared(harness)) is None
    assert harness.tenant().config_version == version
    assert apply(harness, declared(harness, name="Operations")) == "changed"
    assert apply(harness, declared(harness, name="Operations"), "another-secret") == "changed"
    with harness.server.database.read() as tx:
        row = clients.load(tx, harness.tenant_id, "ops-web")
    assert row.name == "Operations"
    assert [(it["digest"], it["expires_at"] is None) for it in row.secrets] == [
        (entropy.digest("another-secret"), True),
        (entropy.digest("a-long-random-secret"), False),
    ], "rotated while the server was down: the one before is good for a while, too (V5)"
    assert apply(harness, declared(harness, name="Operations"), "another-secret") is None


def test_it_can_sign_in_with_the_secret_of_the_file(harness):
    apply(harness, declared(harness))
    page = harness.browser().authorize(client_id="ops-web", redirect_uri="https://ops.example/cb")
    fields = {"client_id": "ops-web", "redirect_uri": "https://ops.example/cb"}
    refused = harness.redeem(page.code, client_secret="wrong", **fields)
    assert (refused.status, refused.reason) == (401, "secret_wrong")
    assert harness.redeem(page.code, client_secret="a-long-random-secret", **fields).ok


@pytest.fixture
def followed(harness, tmp_path):
    """A client whose secret is in a file, which the job follows: the path, the job, and whether a secret is good."""
    path = tmp_path / "secret"
    path.write_text("the-first-long-secret")
    one = declared(
        harness,
        secret=f"file:{path}",
        auth_method="client_secret_post",
        grant_types=("client_credentials",),
        redirect_uris=(),
        scope_ceiling=("logs.read",),
    )
    apply(harness, one, "the-first-long-secret")
    services = harness.server.services
    following = replace(services, settings=services.settings.model_copy(update={"client": (one,)}))

    def follow():
        jobs.follow_client_secrets(following, harness.clock())
        return [it["detail"]["what"] for it in harness.events("admin.changed")].count(
            "client.rotate_secret"
        )

    def signs_in(secret):
        fields = {"grant_type": "client_credentials", "client_id": "ops-web"}
        answer = harness.token({**fields, "client_secret": secret})
        return answer.reason != "secret_wrong"

    return path, follow, signs_in


def test_a_secret_that_is_rotated_in_its_store_is_taken_over_with_an_overlap(harness, followed):
    """V5: client and server read the new one at two moments, so both are good for an hour."""
    path, follow, signs_in = followed
    assert follow() == 0
    path.write_text("the-second-long-secret")
    assert [follow(), follow()] == [1, 1], "once"
    assert signs_in("the-first-long-secret")
    assert signs_in("the-second-long-secret")
    path.unlink()
    assert follow() == 1, "a store that fails takes nothing away"
    harness.clock.advance(hours=1, seconds=1)
    assert not signs_in("the-first-long-secret")
    assert signs_in("the-second-long-secret")


def test_a_rotation_that_is_taken_back_is_followed_too(harness, followed):
    """V5: the first secret was still stored then, and ended; the client was locked out after the hour."""
    path, follow, signs_in = followed
    path.write_text("the-second-long-secret")
    assert follow() == 1
    path.write_text("the-first-long-secret")
    assert follow() == 1, "a process that has the one before in its cache turns nothing back"
    harness.clock.advance(minutes=31)
    assert [follow(), follow()] == [2, 2], "once"
    harness.clock.advance(hours=1, seconds=1)
    assert signs_in("the-first-long-secret")
    assert not signs_in("the-second-long-secret")


@pytest.mark.parametrize("overlap", [0, 24])
def test_a_secret_that_an_administrator_made_stays_until_the_next_start(harness, followed, overlap):
    """Whether or not the one of the file is still good meanwhile."""
    _, follow, signs_in = followed
    with harness.server.database.write() as tx:
        made = clients.rotate_secret(
            tx,
            harness.server.operator(),
            harness.tenant_id,
            "ops-web",
            overlap=timedelta(hours=overlap),
        )
    assert follow() == 1, "the one by the administrator, and none of ours"
    harness.clock.advance(hours=25)
    assert follow() == 1
    assert signs_in(made.secret)
    assert not signs_in("the-first-long-secret")


def test_an_unknown_tenant_and_a_document_of_that_name_are_refused(harness):
    with pytest.raises(NotFound, match="nowhere"):
        apply(harness, declared(harness, tenant="nowhere"))
    client_id = harness.serve_document()
    assert harness.tokens(client_id=client_id).ok
    with pytest.raises(Conflict):
        apply(harness, declared(harness, id=client_id))


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ({"id": "a", "name": "A", "auth_method": "client_secret_post"}, "secret"),
        ({"id": "a", "name": "A", "secret": "env:X"}, "secret"),
        (
            {"id": "a", "name": "A", "secret": "hunter2", "auth_method": "client_secret_post"},
            "secret",
        ),
        ({"id": "a", "name": "A", "colour": "red"}, "colour"),
    ],
)
def test_a_wrong_entry_stops_the_start(entry, says):
    with pytest.raises(ConfigurationError, match=says):
        load(
            environment={"AUTHZ__SERVER__ISSUER": "https://as.example"},
            overrides={"server": {"issuer": "https://as.example"}} | {"client": [entry]},
        )


def test_two_entries_of_one_name_stop_the_start():
    entry = {"id": "a", "name": "A"}
    with pytest.raises(ConfigurationError, match="twice"):
        load(
            environment={"AUTHZ__SERVER__ISSUER": "https://as.example"},
            overrides={"client": [entry, entry]},
        )


def test_the_file_may_hold_a_client_to_more(harness):
    """FAPI-01, PAR-04, JB-28: and a turn of the switch that the file does not know lasts until the next start."""
    signing = {"auth_method": "private_key_jwt", "jwks_uri": "https://ops.example/jwks.json"}
    strict = declared(harness, secret=None, **signing, fapi=True, dpop_bound=True, push_only=True)
    assert apply(harness, strict, None) == "added"
    with harness.server.database.read() as tx:
        members = clients.load(tx, harness.tenant_id, "ops-web").metadata_
    assert members["fapi"] is members["dpop_bound_access_tokens"] is True
    assert members["require_pushed_authorization_requests"] is True
    late = declared(harness, secret=None, **signing)
    assert apply(harness, late, None) == "changed"
    harness.change(clients.set_audience, "ops-web", token_endpoint=True)
    assert apply(harness, late, None) == "changed"
    kept = declared(harness, secret=None, **signing, token_endpoint_audience=True)
    assert apply(harness, kept, None) == "changed"
    assert apply(harness, kept, None) is None
