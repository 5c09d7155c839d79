"""`authz config`: what the configuration says, and whether everything it names is there."""

from authz.admin import sealing, tenants
from authz.cli.output import table
from authz.cli.run import Result, Run, command, group
from authz.db import migrate
from authz.errors import ConfigurationError

app = group("The configuration: check, show.")


@command(app, "show", tenant=False)
def show(run: Run) -> Result:
    """The settings in force, from file, environment and defaults; passwords are left out."""
    shown = run.settings.redacted()
    rows = [
        (f"{section}.{key}", value)
        for section, members in shown.items()
        if isinstance(members, dict)
        for key, value in members.items()
    ]
    rows += [("client", client["id"]) for client in shown["client"]]
    return Result(shown, table(("SETTING", "VALUE"), rows, empty=""))


@command(app, "check", tenant=False)
def check(run: Run) -> Result:
    """Whether configuration, secrets, database and tenants are ready to serve; exit code 3 when not."""
    settings = run.settings
    database = run.services.database
    migrate.check(database)
    with database.read() as tx:
        sealing.check(tx, run.services.envelope)
        known = tenants.list_(tx, settings.server.issuer)
        if not known:
            raise ConfigurationError("there is no tenant yet; `authz db upgrade` makes one")
        for tenant in known:
            run.services.configurations.load(tx, tenant.id)  # opens every sealed secret
    value = {
        "issuer": settings.server.issuer,
        "database": settings.redacted()["database"]["url"],
        "revision": migrate.head(),
        "tenants": [tenant.slug for tenant in known],
    }
    text = (
        f"Configuration: issuer {settings.server.issuer}\n"
        f"Database: {value['database']} at revision {value['revision']}\n"
        f"Tenants: {', '.join(value['tenants'])}; their keys and secrets open\n"
        "Next: authz serve"
    )
    return Result(value, text)
