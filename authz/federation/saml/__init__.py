"""Signing in at SAML 2.0 identity providers: what their responses have to prove, in which order, and what is read then.

Owns requests, responses, metadata of both sides. Never keeps a response, never finds out whose account it is about
(`directory.linking`), never decides that it was used before (`Finished.once` is the caller's), and logs nobody out.

    documents     one hardened parser, ids, order of children, text
    signatures    what may be signed how; answers only what was signed
    encryption    AES-GCM with RSA-OAEP
    responses     one response, one assertion, both verified
    conditions    for us, for now, for our request
    identity      the key, the claims that mappings want, how the person signed in
    metadata      ours, and an import and a refresh of theirs

Decisions:
- Signatures are verified by signxml on lxml, because it is maintained (a release every few weeks), takes one pinned
  certificate and an explicit list of algorithms, looks for the signature at one place, refuses DTDs and answers the
  element parsed from the bytes it has digested. Its advisories (GHSA-6vx8-pcwv-xhf4, GHSA-gmhf-gg8w-jw42) are of HMAC,
  which is never allowed here. Instead of python3-saml: no release since 2023, and it accepts assertions without an
  audience and with two that contradict each other. Instead of pysaml2: it hands documents to the xmlsec1 program, a
  second parser beside its own, which also took keys out of the document (CVE-2021-21239). Instead of xmlsec, the
  binding: a second libxml2 in the process, which has to be of the same build as that of lxml.
- What the library is lax about is decided before it is asked: the shape of the signature to the last child, the one
  reference to the id of exactly this element, two transforms, kind of key by algorithm. It is given the signed element
  alone, and the parser that reads everything else (SAML-02).
- Comments and processing instructions are refused anywhere in a message, not in NameIDs alone: no product sends them.
- A certificate carries a key that an operator pinned, and no chain is looked at; after its last day it is refused. The
  metadata interoperability profile would pass the date over. But a key beyond its time is one that nobody minds any
  more, refreshed metadata brings its successor long before, and break-glass accounts do not need the provider.
- Encrypted assertions: AES-GCM and RSA-OAEP by `cryptography`, in one module; CBC and PKCS #1 v1.5, which Entra ID and
  AD FS use, are refused: there, leave encryption off. The signature has to be inside.
- Single logout (SAML-12) is left out: an identity provider ends access by SCIM or shared signals, which end tokens too.
"""

from authz.federation.saml.connector import SamlConnector
from authz.federation.saml.metadata import (
    Change,
    IdpMetadata,
    Refreshed,
    read_idp_metadata,
    refresh_idp_metadata,
    sp_metadata,
)

__all__ = [
    "Change",
    "IdpMetadata",
    "Refreshed",
    "SamlConnector",
    "read_idp_metadata",
    "refresh_idp_metadata",
    "sp_metadata",
]
