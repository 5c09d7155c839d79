"""Nobody has a secret of the machine sent to themselves (V4, V6)."""

from dataclasses import replace

import pytest

from authz.admin import connections, credentials, event_streams, resources, signal_streams
from authz.admin.operator import Operator
from authz.admin.references import check_references
from authz.admin.signal_streams import NewStream
from authz.errors import Invalid
from authz.policy.administration import ADMIN_ROLES
from authz.secretstores.sections import Secrets
from tests.support.connections import connection

THEFT = [
    *("file:authz.key", "env:AUTHZ_KEK", "env:PGPASSWORD", "file:/proc/self/environ", "env:"),
    *("vault:other/okta", "vault:team", "vault:team/", "vault:team/../other/okta", "vault:team//x"),
    *("file:/run/secrets/team/../kek", "file:/run/secrets/team/./x", "aws-sm:okta", "gcp-sm:okta"),
    *("azure-kv:okta", "vault:team/okta\n", "vault: team/okta"),
    *("file:/run/secrets/team/a#/../../../authz.key", "file:/run/secrets/team/#/../../kek"),
    *("gcp-sm:team-b/okta", "gcp-sm:team-/okta", "gcp-sm:ours-b/team-okta"),
]


def administrator(desk):
    return Operator(
        "console:usr_1",
        desk.now,
        desk.services.envelope,
        ADMIN_ROLES["owner"].permissions,
        user_id="usr_1",
        home=desk.slug,
        references=(
            *("env:AUTHZ_SECRET_", "vault:team/", "file:/run/secrets/team/"),
            *("gcp-sm:team-", "gcp-sm:ours/team-"),
        ),
        authenticated_at=desk.now,
    )


@pytest.mark.parametrize("reference", THEFT)
def test_an_administrator_names_no_secret_of_the_machine(desk, reference):
    operator = administrator(desk)
    for value in (
        reference,
        {"client_secret": reference},
        {"keys": [{"x": reference}]},
        (reference,),
    ):
        with pytest.raises(Invalid, match="not a secret that administrators may refer to"):
            check_references(operator, value)


def test_what_was_put_there_for_them_is_theirs(desk):
    check_references(
        administrator(desk),
        {
            "client_secret": "env:AUTHZ_SECRET_OKTA",
            "private_key": "vault:team/okta#key",
            "decryption_keys": ["file:/run/secrets/team/key", "file:/run/secrets/team/a#b"],
            "others": ["gcp-sm:team-okta#key", "gcp-sm:ours/team-okta"],
            "issuer": "https://x",
        },
    )


def test_a_tenant_may_name_what_was_set_aside_for_it_alone():
    """V6: deny by default, and a beginning ends where the name of a part ends."""
    secrets = Secrets(tenants={"team": ("vault:team/",)})
    assert secrets.allowed_to("team") == ("env:AUTHZ_SECRET_", "vault:team/")
    assert secrets.allowed_to("other") == ("env:AUTHZ_SECRET_",)
    assert Secrets(allowed=()).allowed_to("team") == ()
    strict = Secrets(strict=True, tenants={"team": ("vault:team/",)})
    assert strict.allowed_to("team") == ("vault:team/",)
    for prefix in ("vault:team", "vault:okta.b", "file:/run/secrets"):
        for where in ({"allowed": (prefix,)}, {"tenants": {"team": (prefix,)}}):
            with pytest.raises(ValueError, match="name"):
                Secrets(**where)


def test_what_the_machine_set_stays(desk):
    operator, known = administrator(desk), {"client_secret": "file:okta"}
    check_references(operator, {"client_secret": "file:okta"}, known=known)
    with pytest.raises(Invalid):
        check_references(operator, {"client_secret": "file:other"}, known=known)


def test_the_command_line_names_all(desk):
    check_references(desk.operator, {"client_secret": "file:authz.key"})


def test_the_operations_that_take_references_ask(desk):
    operator = administrator(desk)
    desk.sql(lambda tx: tx.add(connection(desk.tenant_id, "corp", desk.now)))
    desk.do(resources.add, identifier="https://mcp.example/mcp", name="Logs")
    new = NewStream(
        slug="s", connection="corp", issuer="https://idp.example", jwks_uri="https://idp.example/j",
        audience="a", poll_url="https://evil.example", poll_token="file:authz.key",
    )  # fmt: skip
    calls = (
        (connections.add, (None,), {"slug": "x", "kind": "oidc", "preset": "generic", "name": "X",
                                    "settings": {"client_secret": "file:authz.key"}, "issuer": "i"}),
        (connections.change, (None, "corp"), {"settings": {"client_secret": "file:authz.key"}, "issuer": "i"}),
        (signal_streams.add, (new,), {"development": True}),
        (event_streams.push, ("evs_1",), {"url": "https://evil.example", "authorization": "file:authz.key",
                                         "development": True}),
        (credentials.add, ("https://mcp.example/mcp",), {"name": "saas", "reference": "file:authz.key"}),
    )  # fmt: skip
    for operation, args, named in calls:
        with desk.services.database.write() as tx, pytest.raises(Invalid, match="may refer to"):
            operation(tx, replace(operator), desk.tenant_id, *args, **named)
