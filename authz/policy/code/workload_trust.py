"""`workload_trust`: issuers whose tokens name programs, and which of them get what, by their short name.

    workload_trust:
      cluster:
        issuer: https://kubernetes.example
        settings:
          preset: kubernetes
          jwks_uri: https://kubernetes.example/openid/v1/jwks
          rules:
            - name: router
              subject: system:serviceaccount:agents:router
              resources: [https://tickets.example.com/mcp]
              roles: [support]

What a setting and a rule may be is in docs/workload-identity.md; settings that are left out are those of the preset.
"""

from typing import Any

from authz.policy.code.entries import Change, Entry, Shape, Slug, Url


class WorkloadTrustEntry(Entry):
    """One issuer."""

    issuer: Url | None = None
    """As in `iss`, letter by letter, or `spiffe://` and a trust domain; without one, that of the preset. Fixed once it
    is there: its workloads are known by the entry."""
    enabled: bool = True
    """Whether it is believed."""
    settings: dict[str, Any]
    """How its tokens are checked, and its rules."""


def widens(change: Change) -> bool:
    """Whatever is not its end may let a program in."""
    return change.after is not None and change.after["enabled"]


SHAPE = Shape(dict[Slug, WorkloadTrustEntry], widens)
