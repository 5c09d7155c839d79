"""Every parser of hostile input: what feeds it, and what it may raise (ATK-41, ATK-44, ATK-45, ATK-63).

A new parser takes a function in `front` or `back` and a line here; Hypothesis (`test_targets`) and atheris
(`scripts/fuzz`) follow. Nothing else than what is declared may come out, and an error that a client gets to see is
made of the characters that RFC 6749 §5.2 allows.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from authz.clients.certificates import CertificateError
from authz.clients.metadata import MetadataError
from authz.errors import (
    Invalid,
    InvalidAuthorizationDetails,
    InvalidClient,
    InvalidClientMetadata,
    InvalidDpopProof,
    InvalidGrant,
    InvalidRedirectUri,
    InvalidRequest,
    InvalidScope,
    InvalidSoftwareStatement,
    InvalidTarget,
    OAuthError,
)
from authz.federation.connector import SignInRefused
from authz.federation.logout_tokens import LogoutRefused
from authz.federation.polling import PollFailed
from authz.federation.set_verification import SetRefused
from authz.jose import JwtError
from authz.net.strict_json import NotStrict
from authz.resource_server.errors import (
    InvalidProof,
    InvalidToken,
    MalformedRequest,
    MissingToken,
)
from authz.scim.errors import ScimError
from authz.urls import UrlError
from tests.fuzz import arriving, back, front, reports, saml, seeds, signals, workloads
from tests.fuzz import provisioning as scim

_SAYABLE = re.compile(r"[\x20\x21\x23-\x5b\x5d-\x7e]+")


@dataclass(frozen=True)
class Target:
    """A parser, and the exceptions by which it refuses."""

    run: Callable[[bytes], None]
    refuses: tuple[type[Exception], ...] = ()
    seeds: tuple[bytes, ...] = ()
    """Inputs that get far."""

    def __call__(self, data: bytes) -> None:
        """Run it; a declared refusal is an answer like any other."""
        refusal = self.refusal(data)
        if isinstance(refusal, OAuthError):
            assert _SAYABLE.fullmatch(refusal.description), refusal.description
            assert refusal.reason.isprintable()
        if isinstance(refusal, UrlError):
            assert str(refusal).isascii()
        if isinstance(refusal, ScimError):
            assert refusal.detail.isprintable()
            assert refusal.reason.isascii()

    def refusal(self, data: bytes) -> Exception | None:
        """By which declared exception the input was refused."""
        try:
            self.run(data)
        except self.refuses as refusal:
            return refusal
        return None


TARGETS: dict[str, Target] = {
    "audit.verification": Target(back.audit_trail, (), seeds.AUDIT),
    "clients.authentication": Target(
        front.client_credentials, (InvalidRequest, InvalidClient), seeds.CREDENTIALS
    ),
    "clients.certificates": Target(
        front.client_certificate, (CertificateError,), seeds.CERTIFICATES
    ),
    "clients.metadata": Target(front.client_document, (NotStrict, MetadataError), seeds.DOCUMENTS),
    "clients.registration": Target(
        front.client_registration,
        (NotStrict, InvalidRedirectUri, InvalidClientMetadata, InvalidSoftwareStatement),
        seeds.REGISTRATIONS,
    ),
    "clients.registration.update": Target(
        front.client_update, (NotStrict, InvalidClientMetadata), seeds.UPDATES
    ),
    "clients.trust": Target(front.client_trust, (UrlError,), seeds.URLS),
    "db.array": Target(back.db_array, (), seeds.ARRAYS),
    "doctor.challenge": Target(back.doctor_challenge, (), seeds.CHALLENGES),
    "federation.logout_tokens": Target(
        signals.logout_token, (LogoutRefused,), signals.LOGOUT_TOKENS
    ),
    "federation.polling": Target(signals.page, (PollFailed,), signals.PAGES),
    "federation.saml.metadata": Target(saml.metadata, (Invalid,), saml.METADATA),
    "federation.saml.response": Target(saml.response, (SignInRefused,), saml.RESPONSES),
    "federation.security_events": Target(
        signals.security_event, (SetRefused,), signals.SECURITY_EVENTS
    ),
    "jose.import_jwks": Target(front.jose_import_jwks, (NotStrict, JwtError), seeds.JWKS),
    "jose.read_unverified": Target(front.jose_read, (JwtError,), seeds.TOKENS),
    "jose.verify_embedded": Target(front.jose_verify_embedded, (JwtError,), seeds.PROOFS),
    "jose.verify_jwt": Target(front.jose_verify, (JwtError,), seeds.ASSERTIONS),
    "net.headers": Target(back.net_headers, (), seeds.HEADERS),
    "net.strict_json": Target(back.net_json, (NotStrict,), seeds.JSON),
    "oauth.asked": Target(
        front.asked_for, (InvalidRequest, InvalidScope, InvalidTarget), seeds.QUERIES
    ),
    "oauth.authorization_details": Target(
        front.details, (InvalidAuthorizationDetails,), seeds.DETAILS
    ),
    "oauth.authorization_request": Target(front.authorization, (OAuthError,), seeds.QUERIES),
    "oauth.devices": Target(front.user_code, (), seeds.USER_CODES),
    "oauth.dpop": Target(front.dpop_proof, (InvalidDpopProof,), seeds.PROOFS),
    "oauth.id_jag": Target(
        arriving.assertion,
        (JwtError, InvalidGrant, InvalidAuthorizationDetails),
        arriving.ASSERTIONS,
    ),
    "oauth.outcomes": Target(reports.outcome_batch, (InvalidRequest,), reports.BATCHES),
    "oauth.pkce": Target(front.proof_key, (), seeds.VERIFIERS),
    "oauth.refresh": Target(front.refresh_token, (), seeds.REFRESH_TOKENS),
    "oauth.transmitting": Target(arriving.receiver, (NotStrict, InvalidRequest), arriving.BODIES),
    "oauth.workload": Target(workloads.claims, (InvalidGrant, JwtError), workloads.CLAIMS),
    "oauth.workload_rules": Target(workloads.rules, (Invalid,), workloads.RULES),
    "policy.code": Target(arriving.directory, (Invalid,), arriving.DIRECTORIES),
    "policy.roles_file": Target(back.roles, (Invalid,), seeds.ROLES),
    "policy.scopes": Target(back.scope, (ValueError,), seeds.SCOPES),
    "resource_server.access_token": Target(back.rs_claims, (InvalidToken,), seeds.CLAIMS),
    "resource_server.compact": Target(back.rs_token, (InvalidToken,), seeds.ACCESS_TOKENS),
    "resource_server.dpop": Target(
        back.rs_proof, (InvalidProof, InvalidToken), seeds.RESOURCE_PROOFS
    ),
    "resource_server.jwks": Target(back.rs_keys, (InvalidToken, ValueError), seeds.JWKS),
    "resource_server.listing": Target(back.rs_listing, (), seeds.STREAMS),
    "resource_server.messages": Target(back.rs_message, (MalformedRequest,), seeds.MESSAGES),
    "resource_server.request": Target(
        back.rs_request, (MalformedRequest, MissingToken), seeds.BEARERS
    ),
    "resource_server.strict_json": Target(back.rs_json, (ValueError,), seeds.JSON),
    "resource_server.traceparent": Target(arriving.call_trace, (), reports.TRACEPARENTS),
    "resource_server.urls": Target(back.rs_urls, (ValueError,), seeds.URLS),
    "scim.bulk": Target(scim.scim_bulk, (NotStrict, ScimError), scim.BULKS),
    "scim.filter": Target(scim.scim_filter, (ScimError,), scim.FILTERS),
    "scim.group": Target(scim.scim_group, (NotStrict, ScimError), scim.GROUPS),
    "scim.listing": Target(scim.scim_listing, (NotStrict, ScimError), scim.LISTINGS),
    "scim.patch": Target(scim.scim_patch, (NotStrict, ScimError), scim.PATCHES),
    "scim.patch.group": Target(scim.scim_group_patch, (NotStrict, ScimError), scim.GROUP_PATCHES),
    "scim.selection": Target(scim.scim_selection, (ScimError,), scim.SELECTIONS),
    "scim.user": Target(scim.scim_user, (NotStrict, ScimError), scim.USERS),
    "telemetry.traceparent": Target(reports.traceparent, (), reports.TRACEPARENTS),
    "urls": Target(front.urls, (UrlError,), seeds.URLS),
    "web.addresses": Target(back.forwarded_for, (), seeds.ADDRESSES),
    "web.continuation": Target(arriving.continuation, (InvalidRequest,), arriving.FORMS),
    "web.form": Target(front.web_form, (InvalidRequest,), seeds.FORMS),
    "web.json": Target(front.web_json, (InvalidRequest,), seeds.FORMS),
    "web.query": Target(front.web_query, (InvalidRequest,), seeds.QUERIES),
}
