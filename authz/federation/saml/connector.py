"""SAML 2.0 Web Browser SSO, as a service provider: out by HTTP-Redirect, back by HTTP-POST."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, TypeVar

from cryptography.hazmat.primitives.asymmetric import rsa
from pydantic import BaseModel

from authz import entropy
from authz.directory.name_ids import attribute_key
from authz.errors import ConfigurationError, Invalid
from authz.federation.connector import (
    DENIED,
    MISCONFIGURED,
    OUT_OF_ORDER,
    PUBLIC_SENTENCE,
    SESSION_OVER,
    Answer,
    Finished,
    Renewed,
    SignInRefused,
    Start,
    Tools,
    Upstream,
    Wish,
)
from authz.federation.saml import settings as saml_settings
from authz.federation.saml.certificates import read_private_key
from authz.federation.saml.conditions import Expected, check_assertion, check_response
from authz.federation.saml.documents import SamlError, decode_message
from authz.federation.saml.identity import read_identity
from authz.federation.saml.metadata import (
    read_idp_metadata,
    refresh_idp_metadata,
    sp_metadata,
)
from authz.federation.saml.requests import authn_request, redirect_url
from authz.federation.saml.responses import Trust, verified
from authz.federation.saml.settings import SamlSettings
from authz.secretstores import StoreUnavailable

MAX_MESSAGE_CHARS = 256 * 1024
"""Of the form field, before anything is decoded (SAML-11)."""
_REQUEST = "request"
_SENTENCES = {
    "certificate_expired": MISCONFIGURED,
    "own_key_unusable": MISCONFIGURED,
    "session_over": SESSION_OVER,
}

_T = TypeVar("_T")


@dataclass(frozen=True)
class SamlConnector:
    """Signing in at a SAML 2.0 identity provider."""

    tools: Tools
    kind: ClassVar[str] = "saml"
    settings_model: ClassVar[type[BaseModel]] = saml_settings.SamlSettings

    def check(self, settings: Mapping[str, Any], preset: str) -> Mapping[str, Any]:
        """The settings as they will be stored. Raises Invalid naming the member."""
        return saml_settings.check(settings, preset)

    def subject_of(
        self,
        settings: Mapping[str, Any],
        preset: str,  # noqa: ARG002 -- it is in the settings
        known_as: str,
    ) -> str | None:
        """The value of the attribute that is the key. A NameID is qualified by what no directory knows."""
        is_attribute = saml_settings.read(settings).subject_attribute is not None
        return attribute_key(known_as) if is_attribute else None

    def published(self, upstream: Upstream) -> tuple[bytes, str]:
        """The metadata of this connection as a service provider."""
        return sp_metadata(upstream), "application/samlmetadata+xml"

    def imported(self, document: bytes, now: datetime) -> Mapping[str, Any]:
        """Entity id, sign-on URL and certificates of somebody's metadata. Raises Invalid."""
        return read_idp_metadata(document, now).members

    def renewed(self, settings: Mapping[str, Any], now: datetime) -> Renewed | None:
        """From `metadata_url`, if the connection has one (SAML-09). Raises Invalid, NetworkError."""
        if settings.get("metadata_url") is None:
            return None
        found = refresh_idp_metadata(self.tools, settings, now)
        changes = tuple(f"{it.member}: {it.before} -> {it.after}" for it in found.changes)
        return Renewed(found.settings, changes)

    def start(self, upstream: Upstream, wish: Wish, state: str, now: datetime) -> Start:
        """An AuthnRequest on its way. Its id is kept: no other one is answered (SAML-04)."""
        return _refused(self._start, upstream, wish, state, now)

    def _start(self, upstream: Upstream, wish: Wish, state: str, now: datetime) -> Start:
        settings = saml_settings.read(upstream.settings)
        request_id = entropy.new_id("id")
        url = redirect_url(
            upstream,
            settings,
            authn_request(upstream, settings, wish, request_id, now),
            state,
            login_hint=wish.login_hint,
            load_key=self._load_key,
        )
        return Start(url, {_REQUEST: request_id})

    def finish(self, upstream: Upstream, answer: Answer, now: datetime) -> Finished:
        """Who the posted response is about. Raises SignInRefused."""
        return _refused(self._finish, upstream, answer, now)

    def _finish(self, upstream: Upstream, answer: Answer, now: datetime) -> Finished:
        settings = saml_settings.read(upstream.settings)
        request_id = answer.kept.get(_REQUEST)
        if request_id is None and not settings.unsolicited:
            raise SamlError("unsolicited")
        message = answer.params.get("SAMLResponse")
        if message is None:
            raise SamlError("response_missing")
        expected = Expected(
            issuer=settings.entity_id,
            audience=upstream.entity_id,
            destination=upstream.acs_url,
            in_response_to=request_id,
        )
        found = verified(decode_message(message, MAX_MESSAGE_CHARS), self._trust(settings), now)
        check_response(found.response, expected, now)
        parts = check_assertion(found.assertion, expected, now)
        identity = read_identity(
            parts,
            settings,
            answer.wish,
            wanted_claims=answer.wanted_claims,
            started_at=answer.started_at,
            now=now,
        )
        key = entropy.digest(json.dumps([self.kind, settings.entity_id, parts.id]))
        return Finished(identity, once=(key, parts.expires_at))

    def _trust(self, settings: SamlSettings) -> Trust:
        keys = [self._load_key(it) for it in settings.decryption_keys]
        return Trust(settings.trusted, keys, settings.signed)

    def _load_key(self, reference: str) -> rsa.RSAPrivateKey:
        return read_private_key(self.tools.resolve_secret(reference))


def _refused(step: Callable[..., _T], *arguments: Any) -> _T:
    """Every defect becomes the one public sentence, with a reason of its own; what is no defect says what to do."""
    try:
        return step(*arguments)
    except SamlError as error:
        raise SignInRefused(error.reason, _sentence(error.reason)) from None
    except StoreUnavailable:
        raise SignInRefused("secret_store_unavailable", OUT_OF_ORDER, is_ours=True) from None
    except (Invalid, ConfigurationError):
        # The text may name a reference; whoever runs this finds the connection by the reason and mends it.
        raise SignInRefused("connection_misconfigured", MISCONFIGURED) from None


def _sentence(reason: str) -> str:
    if reason.startswith("upstream_"):
        return DENIED
    return _SENTENCES.get(reason, PUBLIC_SENTENCE)
