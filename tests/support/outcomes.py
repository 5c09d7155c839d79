"""An MCP server that reports what became of calls, by an independent call of the JOSE library."""

import itertools
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from joserfc import jws
from sqlalchemy import select

from authz.admin import resources
from authz.db.models import OutcomeBatch, ToolOutcome
from tests.support.client_keys import ClientKey
from tests.support.harness import RESOURCE, Answer, Harness

_numbers = itertools.count(1)


def outcome(now: datetime, **members: Any) -> dict[str, Any]:
    """One that went well; a member of None is left out."""
    made = {
        "at": now.timestamp(),
        "jti": "at_unknown",
        "tool": "read_logs",
        "outcome": "ok",
        "duration_ms": 12,
        **members,
    }
    return {name: value for name, value in made.items() if value is not None}


class Reporter:
    """The client of one resource, with its key."""

    def __init__(
        self, harness: Harness, *, resource: str = RESOURCE, key: ClientKey | None = None
    ) -> None:
        self.harness, self.resource = harness, resource
        self.key = key or ClientKey()
        made = harness.add_client(
            name="Operations MCP",
            auth_method="private_key_jwt",
            jwks=self.key.jwks,
            grant_types=("client_credentials",),
            redirect_uris=(),
        )
        self.client_id = str(made.client.id)
        harness.change(resources.set_client, resource, self.client_id)
        self._sequence = itertools.count(1)

    def claims(self, *outcomes: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
        """Of a batch; a change of None leaves a member out."""
        made = {
            "iss": self.client_id,
            "aud": self.harness.issuer,
            "iat": int(self.harness.clock().timestamp()),
            "jti": f"bat_{next(_numbers)}",
            "resource": self.resource,
            "reporter": "rep_1",
            "sequence": next(self._sequence),
            "lost": 0,
            "outcomes": list(outcomes),
            **changes,
        }
        return {name: value for name, value in made.items() if value is not None}

    def sign(
        self,
        claims: Mapping[str, Any],
        *,
        header: Mapping[str, Any] | None = None,
        key: ClientKey | None = None,
    ) -> str:
        """The JWS of these claims."""
        key = key or self.key
        kid = {} if key.kid is None else {"kid": key.kid}
        protected = {"typ": "tool-outcomes+jwt", "alg": key.algorithm, **kid, **(header or {})}
        registry = jws.JWSRegistry(algorithms=[protected["alg"]], strict_check_header=False)
        return jws.serialize_compact(protected, json.dumps(claims), key.key, registry=registry)

    def batch(self, *outcomes: Mapping[str, Any], **changes: Any) -> str:
        """A signed batch."""
        return self.sign(self.claims(*outcomes, **changes))

    def fields(self, **more: str) -> dict[str, str]:
        """What authenticates a request of this client."""
        harness = self.harness
        return {**self.key.fields(self.client_id, harness.issuer, harness.clock()), **more}

    def send(self, batch: str) -> Answer:
        """POST it."""
        return self.harness.post("/outcomes", self.fields(batch=batch))

    def report(self, *outcomes: Mapping[str, Any], **changes: Any) -> Answer:
        """Sign and POST."""
        return self.send(self.batch(*outcomes, **changes))


def outcomes_of(harness: Harness) -> Sequence[Any]:
    """The rows of a tenant, in the order they were told."""
    with harness.server.database.read() as tx:
        return tx.scalars(
            select(ToolOutcome)
            .join(OutcomeBatch, OutcomeBatch.id == ToolOutcome.batch_id)
            .where(ToolOutcome.tenant_id == harness.tenant_id)
            .order_by(OutcomeBatch.received_at, OutcomeBatch.sequence, ToolOutcome.position)
        ).all()
