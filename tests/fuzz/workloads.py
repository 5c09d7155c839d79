"""Targets: what a platform says of a workload, and what operators write about those they know."""

import json
from typing import Any

from authz.jose import read_unverified
from authz.jose.compact import encode
from authz.oauth import workload
from authz.oauth.workload_rules import read_rules, segments
from authz.oauth.workload_trust import WorkloadSettings, WorkloadTrust
from tests.support.configured import NOW

_RULES: list[dict[str, Any]] = [
    {
        "name": "router",
        "subject": "system:serviceaccount:agents:*",
        "claims": {"kubernetes.io": {"namespace": ["agents", "tools"]}},
        "resources": ["https://mcp.example/mcp"],
        "roles": ["developer"],
    },
    {
        "name": "notes",
        "subject": "repo:acme/tools:ref:refs/heads/main",
        "claims": {"repository_id": "123"},
        "resources": ["https://mcp.example/mcp"],
        "scopes": ["logs.read"],
    },
]
_TRUST = WorkloadTrust(
    "tru_1", "cluster", "https://c.example", WorkloadSettings(rules=read_rules(_RULES))
)
_TIMES = {"iat": NOW.timestamp(), "exp": NOW.timestamp() + 60}
CLAIMS = tuple(
    json.dumps(said).encode()
    for said in (
        {
            **_TIMES,
            "sub": "system:serviceaccount:agents:router",
            "jti": "j",
            "kubernetes.io": {"namespace": "agents"},
        },
        {**_TIMES, "sub": "repo:acme/tools:ref:refs/heads/main", "repository_id": "123"},
        {**_TIMES, "sub": "repo:acme/tools:ref:refs/heads/main", "repository_id": 123},
    )
)
RULES = tuple(json.dumps(given).encode() for given in (_RULES, _RULES[:1], [{"name": "x"}], []))


def claims(data: bytes) -> None:
    """WIF-02: whoever gets in is known by every segment of its name and by every claim, as text."""
    _, said = read_unverified(f"e30.{encode(data)}.")
    if not isinstance(said.get("sub"), str):
        return
    found = workload.check(said, _TRUST, signed="h.p", client_id=None)
    wanted = segments(found.rule.subject)
    assert [
        there for want, there in zip(wanted, segments(found.subject), strict=True) if want != "*"
    ] == [want for want in wanted if want != "*"]
    for path, values in found.rule.conditions:
        value: Any = said
        for name in path:
            value = value[name]
        assert value in values
    json.dumps(found.as_json()).encode()


def rules(data: bytes) -> None:
    """What was read is written and read again as the same."""
    try:
        given = json.loads(data)
    except (ValueError, RecursionError):
        return
    read = read_rules(given)
    assert read_rules([rule.as_json() for rule in read]) == read
