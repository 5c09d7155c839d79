"""The way out: an AuthnRequest in the query of the identity provider's sign-on URL (bindings §3.4)."""

import base64
import zlib
from collections.abc import Callable
from datetime import datetime
from urllib.parse import quote, urlencode

from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from lxml import etree

from authz.directory.assurance import ACR_VALUES, MFA
from authz.federation.connector import Upstream, Wish
from authz.federation.saml.names import ASSERTION, ENTITY, POST, PROTOCOL, a, p
from authz.federation.saml.settings import SamlSettings, find_preset
from authz.federation.saml.times import write_moment
from authz.urls import add_query

RSA_SHA256 = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"


def authn_request(
    upstream: Upstream, settings: SamlSettings, wish: Wish, request_id: str, now: datetime
) -> bytes:
    """The document."""
    root = etree.Element(
        p("AuthnRequest"),
        {
            "ID": request_id,
            "Version": "2.0",
            "IssueInstant": write_moment(now),
            "Destination": settings.sso_url,
            "ProtocolBinding": POST,
            "AssertionConsumerServiceURL": upstream.acs_url,
        },
        nsmap={"samlp": PROTOCOL, "saml": ASSERTION},
    )
    # SAML cannot ask for an age; the one way to get a young enough sign-in is a new one (SUA-01).
    if wish.is_fresh or wish.max_age is not None:
        root.set("ForceAuthn", "true")
    issuer = etree.SubElement(root, a("Issuer"), {"Format": ENTITY})
    issuer.text = upstream.entity_id
    policy = etree.SubElement(root, p("NameIDPolicy"), {"AllowCreate": "true"})
    if settings.name_id_format is not None:
        policy.set("Format", settings.name_id_format)
    classes = _classes(wish, settings)
    if classes:
        context = etree.SubElement(root, p("RequestedAuthnContext"), {"Comparison": "exact"})
        for value in classes:
            etree.SubElement(context, a("AuthnContextClassRef")).text = value
    return etree.tostring(root, encoding="utf-8")


def _classes(wish: Wish, settings: SamlSettings) -> list[str]:
    """What is wished for in the identity provider's words; our own names mean nothing there."""
    words = [settings.mfa_context if it == MFA else it for it in wish.acr_values]
    return list(dict.fromkeys(it for it in words if it is not None and it not in ACR_VALUES))


def redirect_url(
    upstream: Upstream,
    settings: SamlSettings,
    request: bytes,
    state: str,
    *,
    login_hint: str | None,
    load_key: Callable[[str], rsa.RSAPrivateKey],
) -> str:
    """Where the browser goes. The signature is over the very characters of the query (bindings §3.4.4.1)."""
    squeeze = zlib.compressobj(wbits=-15)
    message = base64.b64encode(squeeze.compress(request) + squeeze.flush()).decode()
    pairs = [("SAMLRequest", message), ("RelayState", state)]
    if settings.signing_key is not None:
        pairs.append(("SigAlg", RSA_SHA256))
        octets = urlencode(pairs, quote_via=quote, safe="").encode()
        signature = load_key(settings.signing_key).sign(octets, padding.PKCS1v15(), SHA256())
        pairs.append(("Signature", base64.b64encode(signature).decode()))
    hint = find_preset(upstream.preset).hint_parameter
    if hint is not None and login_hint:
        pairs.insert(0, (hint, login_hint))
    return add_query(settings.sso_url, pairs)
