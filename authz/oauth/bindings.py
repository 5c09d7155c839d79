"""Tokens bound to a key of their client: what `cnf` says, and what a later request has to prove. Pure.

Decisions:
- A public client's refresh tokens are bound to the key as well (RFC 9449 §5): that is all that tells it from a thief. A
  confidential client's are bound by its authentication; it may change its key, but never go back to bearer tokens
  (ATK-72).
"""

from collections.abc import Mapping

from authz.clients.client import Client
from authz.errors import InvalidDpopProof, InvalidGrant

JKT = "jkt"
CERTIFICATE = "x5t#S256"


def token_type(confirmation: Mapping[str, str] | None) -> str:
    """RFC 9449 §5; tokens bound to a certificate are still Bearer (RFC 8705 §3, MTLS-02)."""
    return "DPoP" if confirmation is not None and JKT in confirmation else "Bearer"


def kind_of(confirmation: Mapping[str, str] | None) -> str | None:
    """For the trail: `dpop`, `certificate`, or nothing."""
    if confirmation is None:
        return None
    return "dpop" if JKT in confirmation else "certificate"


def check_family(
    client: Client,
    bound_to: Mapping[str, str] | None,
    proved: Mapping[str, str] | None,
    *,
    refused: str,
) -> None:
    """Whether this request may use what was granted to the holder of a key (DPOP-02, ATK-73).

    Raises InvalidDpopProof when nothing was proved, InvalidGrant (with the sentence `refused`) for another key.
    """
    if bound_to is None:
        return
    if proved is None or proved.keys() != bound_to.keys():
        raise InvalidDpopProof(
            "this grant is bound to a key: prove that you hold it", reason="binding_proof_missing"
        )
    if not client.is_confidential and dict(proved) != dict(bound_to):
        raise InvalidGrant(refused, reason="binding_other_key")


def check_code(dpop_jkt: str | None, proved: Mapping[str, str] | None, *, refused: str) -> None:
    """Whether a code that was asked for with `dpop_jkt` comes with that key (RFC 9449 §10, DPOP-03)."""
    if dpop_jkt is None:
        return
    if proved is None or JKT not in proved:
        raise InvalidDpopProof(
            "this code is bound to a key: prove that you hold it", reason="binding_proof_missing"
        )
    if proved[JKT] != dpop_jkt:
        raise InvalidGrant(refused, reason="binding_other_key")
