"""`authz explain`: why an access token holds what it holds."""

from typing import Annotated

import typer

from authz.admin.explain import Explanation
from authz.admin.explain import explain as explain_token
from authz.cli.output import cell, fields
from authz.cli.run import Result, Run, command, group
from authz.oauth.workload_trust import is_workload

app = group("Why an access token holds what it holds.")


@command(app, "explain")
def explain(
    run: Run,
    jti: Annotated[str, typer.Argument(help="The token's `jti`, not the token.", metavar="JTI")],
) -> Result:
    """Who, through which client, which role gave what, what was removed and why, and whether it is good."""
    with run.read() as (tx, tenant_id):
        found = explain_token(tx, tenant_id, jti, run.services.clock())
    return Result(found, _told(found))


def _told(found: Explanation) -> str:
    requested = "nothing in particular (the server's default scopes)"
    if found.requested is not None:
        requested = " ".join(found.requested)
    grant = found.grant_id
    if found.recorded:
        grant += f" ({found.recorded.grant_type})"
    if found.grant_since:
        grant += f", since {cell(found.grant_since)}"
    head = fields(
        [
            ("token", found.jti),
            ("state", found.state),
            *_who(found),
            ("MCP server", found.resource),
            ("issued", found.issued_at),
            ("expires", found.expires_at),
            ("grant", grant),
            ("requested", requested),
            *([] if found.signed_in is None else [("signed in", found.signed_in)]),
            ("policy version", found.policy_version),
            ("audit event", _place(found)),
        ]
    )
    granted = [_line(found, scope, source) for scope, source in found.granted.items()]
    removed = [_line(found, scope, why) for scope, why in found.removed.items()]
    lines = [head, "granted:", *(granted or ["  nothing"])]
    if removed:
        lines += ["removed:", *removed]
    return "\n".join(lines)


def _who(found: Explanation) -> list[tuple[str, object]]:
    if is_workload(found.subject):
        named = None if found.recorded is None else found.recorded.workload
        if named is None:
            return [("workload", found.subject)]
        return [
            ("workload", f"{named['rule']} of {named['trust']} ({found.subject})"),
            ("known as", named["asserted"]),
        ]
    return [
        ("person", f"{found.login or 'not in the directory'} ({found.subject})"),
        ("client", f"{found.client_name or 'not registered any more'} ({found.client})"),
    ]


def _line(found: Explanation, scope: str, why: str) -> str:
    required = found.required.get(scope)
    return f"  {cell(scope)}: {cell(why)}" + (f" [{cell(required)}]" if required else "")


def _place(found: Explanation) -> str:
    if found.recorded is None:
        return "not in the trail any more"
    return f"{found.recorded.strand} #{found.recorded.position}"
