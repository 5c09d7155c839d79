"""`authz domains`: whose people sign in through which identity provider."""

from typing import Annotated

import typer

from authz.admin import domains
from authz.cli.output import table
from authz.cli.run import Result, Run, command, group

app = group("Domains of identity providers: list, add, verify, mandatory, optional, remove.")
_Domain = Annotated[str, typer.Argument(help="Such as corp.example.", metavar="DOMAIN")]


@command(app, "list")
def list_(run: Run) -> Result:
    """All domains."""
    with run.read() as (tx, tenant_id):
        lines = domains.list_(tx, tenant_id)
    rows = [
        (
            it.name,
            it.connection,
            it.verified_at.date().isoformat() if it.verified_at else "not verified",
            "mandatory" if it.is_mandatory else "",
        )
        for it in lines
    ]
    empty = "No domain; `authz domains add DOMAIN CONNECTION` claims one."
    return Result(lines, table(("DOMAIN", "CONNECTION", "VERIFIED", "SIGN-IN"), rows, empty=empty))


@command(app, "add")
def add(
    run: Run,
    name: _Domain,
    connection: Annotated[
        str, typer.Argument(help="Where its people sign in.", metavar="CONNECTION")
    ],
) -> Result:
    """Claim a domain; prints the DNS record that proves it."""
    with run.write() as (tx, operator, tenant_id):
        line = domains.add(tx, operator, tenant_id, name=name, connection=connection)
    text = (
        f"Claimed {line.name} for {line.connection}. Add this DNS record:\n"
        f"  {line.record_name}  TXT  {line.record_value}\n"
        f"Next: authz domains verify {line.name}"
    )
    return Result(line, text)


@command(app, "verify")
def verify(run: Run, name: _Domain) -> Result:
    """Look for the record. Its people are sent to the identity provider from then on."""
    from authz.net.txt import lookup_txt

    with run.read() as (tx, tenant_id):
        line = domains.show(tx, tenant_id, name)
    found = lookup_txt(line.record_name, nameservers=run.settings.network.nameservers)
    with run.write() as (tx, operator, tenant_id):
        line = domains.verify(tx, operator, tenant_id, name, found)
    text = (
        f"Verified {line.name}: its people sign in through {line.connection}.\n"
        f"Next: authz domains mandatory {line.name}   to let them in no other way"
    )
    return Result(line, text)


@command(app, "mandatory")
def mandatory(run: Run, name: _Domain) -> Result:
    """Close every other way in for people of the domain, but for break-glass accounts."""
    with run.write() as (tx, operator, tenant_id):
        line = domains.set_mandatory(tx, operator, tenant_id, name, mandatory=True)
    text = (
        f"People of {line.name} sign in through {line.connection} and no other way.\n"
        "Keep one account for emergencies: authz users break-glass LOGIN"
    )
    return Result(line, text)


@command(app, "optional")
def optional(run: Run, name: _Domain) -> Result:
    """Open the other ways again."""
    with run.write() as (tx, operator, tenant_id):
        line = domains.set_mandatory(tx, operator, tenant_id, name, mandatory=False)
    return Result(line, f"People of {line.name} may sign in by password again, if they have one.")


@command(app, "remove", asks=True)
def remove(run: Run, name: _Domain) -> Result:
    """Let a domain go."""
    with run.write() as (tx, operator, tenant_id):
        line = domains.remove(tx, operator, tenant_id, name)
    return Result(line, f"Removed {line.name} from {line.connection}.")
