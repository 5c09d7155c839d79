"""What operations need that is no JSON: hashes, keys, what was fetched, what this installation is configured for.

It is made before the transaction, because hashing, generating and fetching are slow, and it is not kept: whoever
replays an operation makes it anew.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from authz.admin import connections, domains, keys, tenants, users
from authz.admin.arguments import Members
from authz.admin.operator import Operator
from authz.db import Database
from authz.errors import Conflict, Invalid, about
from authz.federation.registry import CONNECTORS, Connectors
from authz.jose import LEEWAY
from authz.keys import PURPOSES, Custody
from authz.settings import Settings


@dataclass(frozen=True)
class Surroundings:
    """Where an operation is performed: one tenant of one installation, now."""

    tenant_id: str
    issuer: str
    settings: Settings
    database: Database
    connectors: Connectors
    custody: Custody
    now: datetime
    operator: Operator
    """Who performs it."""


Values = Mapping[str, Any]


@dataclass(frozen=True)
class Supply:
    """`supplies` names the parameters that are no arguments; `takes` what is an argument in their place.

    `make` gets the arguments as read. What it answers goes before them, also under their own names.
    """

    supplies: frozenset[str]
    make: Callable[[Surroundings, Values], Values]
    takes: Members = field(default_factory=dict)
    secret: frozenset[str] = frozenset()
    """Arguments whose value nobody may read again."""


def _password(_: Surroundings, given: Values) -> Values:
    word = given["password"]
    return {"password_hash": None if word is None else users.hash_new_password(word)}


def _metadata(around: Surroundings, given: Values) -> Values:
    supplied = _connectors(around, given)
    document = given["metadata"]
    if document is None or given["kind"] not in CONNECTORS:
        return supplied
    with about("metadata"):
        found = around.connectors.of(given["kind"]).imported(document.encode(), around.now)
    return {**supplied, "settings": {**found, **given["settings"]}}


def _connectors(around: Surroundings, _: Values) -> Values:
    return {"connectors": around.connectors, "issuer": around.issuer}


def _renewed(around: Surroundings, given: Values) -> Values:
    with around.database.read() as tx:
        row = connections.load(tx, around.tenant_id, given["slug"])
    if row.kind not in CONNECTORS:
        raise Conflict(f"{row.slug} only vouches by assertions; there is nothing to read")
    found = around.connectors.of(row.kind).renewed(row.settings, around.now)
    if found is None:
        raise Conflict(f"{row.slug} has nothing to refresh: it is read at each sign-in")
    return {"found": found}


def _proof(around: Surroundings, given: Values) -> Values:
    from authz.net.txt import lookup_txt

    with around.database.read() as tx:
        line = domains.show(tx, around.tenant_id, given["name"])
    found = lookup_txt(line.record_name, nameservers=around.settings.network.nameservers)
    return {"found": found}


def _own_issuer(around: Surroundings, _: Values) -> Values:
    return {"own_issuer": around.issuer}


def _client_rules(around: Surroundings, _: Values) -> Values:
    settings = around.settings
    return {
        "private_schemes": settings.clients.private_redirect_schemes,
        "development": settings.server.development,
    }


def _development(around: Surroundings, _: Values) -> Values:
    return {"development": around.settings.server.development}


def _new_key(around: Surroundings, given: Values) -> Values:
    settings, purpose = around.settings, given["purpose"]
    at_once = given["at_once"] or given["emergency"]
    if at_once and given["at"] is not None:
        raise Invalid("`at_once` and `at` are two moments; give one")
    configured = settings.keys.algorithm
    fitting = configured if configured in PURPOSES.get(purpose, ()) else "ES256"
    return {
        "new": keys.generate_one(purpose, given["algorithm"] or fitting, around.custody),
        "publish_ahead": timedelta(0) if at_once else settings.keys.publish_ahead,
        "longest_token": settings.tokens.access_token + LEEWAY,
    }


def _first_keys(around: Surroundings, given: Values) -> Values:
    development = around.settings.server.development
    return {
        "keys": keys.generate_first(around.custody),
        "client_trust": given["client_trust"] or tenants.default_trust(development=development),
    }


_OPTIONAL_TEXT: Any = str | None

NEW_PASSWORD = Supply(
    frozenset({"password_hash"}),
    _password,
    takes={"password": (_OPTIONAL_TEXT, None)},
    secret=frozenset({"password"}),
)
PASSWORD = Supply(
    frozenset({"password_hash"}),
    _password,
    takes={"password": (str, ...)},
    secret=frozenset({"password"}),
)
CONNECTORS_IN_USE = Supply(frozenset({"connectors", "issuer"}), _connectors)
PROVIDER_METADATA = Supply(
    frozenset({"connectors", "issuer"}), _metadata, takes={"metadata": (_OPTIONAL_TEXT, None)}
)
RENEWED = Supply(frozenset({"found"}), _renewed)
PROOF_OF_DOMAIN = Supply(frozenset({"found"}), _proof)
OWN_ISSUER = Supply(frozenset({"own_issuer"}), _own_issuer)
CLIENT_RULES = Supply(frozenset({"private_schemes", "development"}), _client_rules)
DEVELOPMENT = Supply(frozenset({"development"}), _development)
NEW_KEY = Supply(
    frozenset({"new", "publish_ahead", "longest_token"}),
    _new_key,
    takes={
        "purpose": (str, "access_token"),
        "algorithm": (_OPTIONAL_TEXT, None),
        "at_once": (bool, False),
    },
)
FIRST_KEYS = Supply(
    frozenset({"keys", "client_trust"}), _first_keys, takes={"client_trust": (_OPTIONAL_TEXT, None)}
)
