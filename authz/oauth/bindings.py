"""Tokens bound to a key of their client: what `cnf` says, and what a later request has to prove. Pure.

Decisions:
- A public client's refresh tokens are bound to the key as well (RFC 9449 §5): that is all that tells it from a thief. A
  confidential client's are bound by its authentication; it may change its key, but never go back to bearer tokens
  (ATK-72).
"""

from collections.abc import Mapping

from authz.clients.client import Client
from authz.errors import InvalidDpopProof, InvalidGrant, InvalidRequest

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


def confirmation_of(
    client: Client, jkt: str | None, certificate: str | None
) -> dict[str, str] | None:
    """The `cnf` claim of a token for this request: thumbprint of the key it proved, or of its certificate.

    Raises InvalidDpopProof or InvalidRequest when the client may not have a token like this (DPOP-06, FAPI-03).
    """
    if jkt is not None:
        if client.requires_certificate:
            # One token, one binding: a server that knows only the other would take it as unbound.
            raise InvalidDpopProof(
                "the tokens of this client are bound to its certificate", reason="two_bindings"
            )
        return {JKT: jkt}
    if client.requires_dpop:
        raise InvalidDpopProof("this client has to send a DPoP proof", reason="dpop_proof_missing")
    if certificate is not None and (client.requires_certificate or client.fapi):
        return {CERTIFICATE: certificate}
    if client.requires_certificate:
        raise InvalidRequest(
            "this client has to present its certificate", reason="certificate_missing"
        )
    if client.fapi:
        raise InvalidRequest(
            "this client has to send a DPoP proof or present its certificate",
            reason="binding_missing",
        )
    return None


def check_family(
    client: Client,
    bound_to: Mapping[str, str] | None,
    proved: Mapping[str, str] | None,
    *,
    refused: str,
) -> None:
    """Whether this request may use what was granted to the holder of a key (DPOP-02, ATK-73).

    Raises InvalidDpopProof when nothing was proved, InvalidGrant (with the sentence `refused`) for another key or
    without the certificate.
    """
    if bound_to is None:
        return
    if CERTIFICATE in bound_to and CERTIFICATE not in (proved or ()):
        raise InvalidGrant(refused, reason="binding_certificate_missing")
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
