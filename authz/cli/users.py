"""`authz users`: people of the local directory."""

from typing import Annotated

import typer

from authz.admin import leaving, users
from authz.cli import values
from authz.cli.output import fields, table
from authz.cli.run import Result, Run, command, group

app = group("People: list, add, password, end-access, disable, enable, break-glass, show.")
_User = Annotated[str, typer.Argument(help="A login name or an id (usr_…).", metavar="USER")]


@command(app, "list")
def list_(
    run: Run,
    match: Annotated[str, typer.Option(help="Only those whose login or name holds this.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 1000,
) -> Result:
    """People by login."""
    with run.read() as (tx, tenant_id):
        lines = users.list_(tx, tenant_id, matching=match, limit=limit)
    rows = [(u.login, u.name, u.status, u.has_password, u.id) for u in lines]
    headings = ("LOGIN", "NAME", "STATUS", "PASSWORD", "ID")
    text = table(headings, rows, empty="No user; `authz users add LOGIN` makes one.")
    if len(lines) == limit:
        text += f"\nThe first {limit}; --limit and --match show others."
    return Result(lines, text)


@command(app, "add")
def add(
    run: Run,
    login: Annotated[str, typer.Argument(help="Usually an e-mail address.", metavar="LOGIN")],
    name: Annotated[str, typer.Option(help="Shown to people; the login when absent.")] = "",
    password_stdin: values.PasswordStdin = False,
    password_from: values.PasswordFrom = None,
    password_prompt: Annotated[
        bool, typer.Option("--password-prompt", help="Ask for the password.")
    ] = False,
) -> Result:
    """Add a person. Without a password option they have none yet, and cannot sign in with one."""
    word = values.password(
        lambda: run.audited_secrets,
        stdin=password_stdin,
        reference=password_from,
        prompt=password_prompt,
    )
    hashed = None if word is None else users.hash_new_password(word)
    with run.write() as (tx, operator, tenant_id):
        user = users.add(tx, operator, tenant_id, login=login, name=name, password_hash=hashed)
    after = f"authz roles bind ROLE --user {user.login}"
    if hashed is None:
        after = f"authz users password {user.login}, {after}"
    return Result(user, f"Added {user.login} ({user.id}).\nNext: {after}")


@command(app, "password")
def password(
    run: Run,
    user: _User,
    password_stdin: values.PasswordStdin = False,
    password_from: values.PasswordFrom = None,
) -> Result:
    """Set a password (asked for unless an option says where it is) and sign the person out everywhere."""
    word = values.password(
        lambda: run.audited_secrets, stdin=password_stdin, reference=password_from, prompt=True
    )
    hashed = users.hash_new_password(word or "")
    with run.write() as (tx, operator, tenant_id):
        line = users.set_password(tx, operator, tenant_id, user, hashed)
    return Result(line, f"Set the password of {line.login}; their browsers are signed out.")


@command(app, "break-glass")
def break_glass(
    run: Run,
    user: _User,
    off: Annotated[bool, typer.Option("--off", help="No longer.")] = False,
) -> Result:
    """Let an account in by password although its domain has to use its identity provider."""
    with run.write() as (tx, operator, tenant_id):
        line = users.set_break_glass(tx, operator, tenant_id, user, allowed=not off)
    if off:
        return Result(line, f"{line.login} is no emergency account any more.")
    text = (
        f"{line.login} may sign in by password whatever their domain demands.\n"
        "Every such sign-in is an event login.break_glass, a warning in the log, and counted by "
        "authz_break_glass_logins_total: alert on any."
    )
    return Result(line, text)


@command(app, "end-access", asks=True)
def end_access(
    run: Run,
    user: _User,
    disable: Annotated[
        bool, typer.Option("--disable", help="Disable the account as well.")
    ] = False,
) -> Result:
    """End everything a person has: sessions, grants, codes, live access tokens. They may sign in again."""
    with run.write() as (tx, operator, tenant_id):
        done = leaving.end_access(tx, operator, tenant_id, user, disable=disable)
    text = (
        f"Ended for {done.login}: {done.sessions} sessions, {done.grants} grants, {done.codes} codes, "
        f"{done.tokens} access tokens. The account is {done.status}."
    )
    return Result(done, text)


@command(app, "disable", asks=True)
def disable(run: Run, user: _User) -> Result:
    """Close an account: every grant, browser, code and live access token of the person ends."""
    with run.write() as (tx, operator, tenant_id):
        done = users.disable(tx, operator, tenant_id, user)
    text = (
        f"Disabled {done.user.login}: {done.revoked_grants} grants revoked, "
        f"{done.ended_sessions} sessions ended."
    )
    return Result(done, text)


@command(app, "enable")
def enable(run: Run, user: _User) -> Result:
    """Open an account again; what was revoked stays revoked."""
    with run.write() as (tx, operator, tenant_id):
        line = users.enable(tx, operator, tenant_id, user)
    return Result(line, f"Enabled {line.login}; they sign in and allow their clients anew.")


@command(app, "show")
def show(run: Run, user: _User) -> Result:
    """One person with groups, roles and live grants."""
    with run.read() as (tx, tenant_id):
        found = users.show(tx, tenant_id, user, run.services.clock())
    return Result(found, fields((key.replace("_", " "), item) for key, item in vars(found).items()))
