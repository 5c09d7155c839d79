"""What the SAML identity providers of a product call things; an operator may name everything otherwise."""

from collections.abc import Mapping
from dataclasses import dataclass

_MICROSOFT = "http://schemas.microsoft.com"
_WS_CLAIMS = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims"
_FORMATS = "urn:oasis:names:tc:SAML:2.0:nameid-format"
PERSISTENT = f"{_FORMATS}:persistent"


@dataclass(frozen=True)
class SamlPreset:
    """The names of one product."""

    label: str
    email: str | None = None
    name: str | None = None
    groups: str | None = None
    """Where its groups are; offered when mappings are written, never read by itself."""
    subject: str | None = None
    """An attribute that never changes hands, where the product has one that is better than its NameID."""
    methods: str | None = None
    """Where it says how somebody signed in; `METHODS` has what the values mean."""
    mfa_context: str | None = None
    """The context class that stands for more than one factor. None: none can be asked for."""
    name_id_format: str | None = None
    """What is asked for. None: whatever the administrator over there has chosen."""
    hint_parameter: str | None = None
    """The query parameter of its sign-on URL that names who is expected."""


PRESETS: Mapping[str, SamlPreset] = {
    "generic": SamlPreset(
        "SAML 2.0", mfa_context="https://refeds.org/profile/mfa", name_id_format=PERSISTENT
    ),
    # A NameIDPolicy that differs from the claim rules of the relying party is answered with an error.
    "adfs": SamlPreset(
        "Active Directory Federation Services",
        email=f"{_WS_CLAIMS}/emailaddress",
        name=f"{_WS_CLAIMS}/name",
        groups="http://schemas.xmlsoap.org/claims/Group",
        methods=f"{_MICROSOFT}/claims/authnmethodsreferences",
        mfa_context=f"{_MICROSOFT}/claims/multipleauthn",
    ),
    # Which factors are needed is decided by its policies; a context that the session does not have is an error there.
    # A Subject in the request is an error there; the hint goes beside it.
    "entra": SamlPreset(
        "Microsoft Entra ID",
        email=f"{_WS_CLAIMS}/emailaddress",
        name=f"{_MICROSOFT}/identity/claims/displayname",
        groups=f"{_MICROSOFT}/ws/2008/06/identity/claims/groups",
        subject=f"{_MICROSOFT}/identity/claims/objectidentifier",
        methods=f"{_MICROSOFT}/claims/authnmethodsreferences",
        hint_parameter="login_hint",
    ),
    "okta": SamlPreset(
        "Okta",
        email="email",
        name="displayName",
        groups="groups",
        mfa_context="urn:okta:loa:2fa:any",
    ),
}

METHODS: Mapping[str, str] = {
    f"{_MICROSOFT}/claims/multipleauthn": "mfa",
    f"{_MICROSOFT}/ws/2008/06/identity/authenticationmethod/password": "pwd",
    f"{_MICROSOFT}/ws/2008/06/identity/authenticationmethod/windows": "wia",
    "urn:oasis:names:tc:SAML:1.0:am:password": "pwd",
    "urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport": "pwd",
}
"""Method references as RFC 8176 spells them; others are left out."""
