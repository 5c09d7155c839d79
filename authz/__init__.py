"""A self-hosted OAuth 2.1 authorization server for the Model Context Protocol (MCP).

The map, by layer; a module imports only from layers below its own (`tests/test_architecture.py` holds the rule):

    0  errors, clock, entropy, urls, transactions, resource_server
    1  settings, sections, jose, passwords, telemetry, db, net, secretstores, tenants
    2  audit, keys, limits, revocations
    3  clients, directory, policy
    4  oauth, federation, scim, admin, doctor, lab
    5  services      the composition root: the only module that knows every core package
    6  web, jobs
    7  app
    8  cli

Where a new thing goes: one file and one line in a literal registry.

    a grant type             oauth/grants/<name>.py      GRANTS
    a way to name a client   clients/<name>.py           RESOLVERS
    a client authentication  clients/authentication.py   AUTH_METHODS
    a secret store           secretstores/<name>.py      STORES
    a periodic job           jobs/__init__.py            JOBS
    a command                cli/<area>.py               COMMANDS
    a client doctor knows    doctor/profiles.py          CLIENTS
    a scenario of the lab    lab/scenarios/<subject>.py  SCENARIOS (or a row in lab/defects)

Authorization never passes through this server twice: MCP servers verify its signed tokens by themselves
(`authz.resource_server`), and no MCP request is ever proxied.
"""

from pathlib import Path

__version__ = "0.1.0"


def data_dir(name: str) -> Path:
    """The folder `templates` or `alembic`: inside the installed wheel, or at the top of a checkout."""
    packaged = Path(__file__).parent / "_data" / name
    return packaged if packaged.is_dir() else Path(__file__).parent.parent / name
