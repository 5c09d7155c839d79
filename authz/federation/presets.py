"""What is peculiar to the products that people sign in with over OpenID Connect: one record each (pure).

`words` are the steps at the product's side, for the guides and for whoever sets a connection up; `{redirect_uri}` in
them is the address this connection has. What an operator may decide otherwise is a default of `oidc_settings`; what
they may not is read from here at every sign-in.

Decisions:
- Microsoft Entra ID: the directory's id stands in the issuer, so no token of another directory is ever accepted
  (ATK-25). People are known by directory and object id; an address counts only where Entra says that the owner of its
  domain was verified (`xms_edov`): whoever has a directory can write any address into it (ATK-26).
- Google: one issuer for everybody with a Google account, so the company's domain has to be pinned (`hd`).
- Okta, PingOne and others put only part of what they know into ID tokens; the rest is asked at the userinfo endpoint.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Userinfo = Literal["never", "when_missing", "always"]
"""Whether the userinfo endpoint is asked: not at all, when the ID token lacks something that is wanted, or always."""
Audience = Literal["issuer", "token_endpoint"]

_GUID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
GUID = re.compile(_GUID)


@dataclass(frozen=True)
class Preset:
    """One product."""

    product: str
    words: tuple[str, ...]
    issuer: str | None = None
    """Of everybody who uses it."""
    issuer_form: str = r".+"
    """What its issuers look like, as a pattern for the whole of them."""
    issuer_example: str = "https://login.example.com"
    scopes: tuple[str, ...] = ("openid", "email", "profile")
    root_scopes: frozenset[str] = frozenset()
    """Those of them that only an issuer without a path knows."""
    userinfo: Userinfo = "when_missing"
    subject_claim: str = "sub"
    groups_claim: str = "groups"
    reserved_claims: frozenset[str] = frozenset()
    """Names under which it never says anything of its own."""
    assertion_audience: Audience = "issuer"
    """Whom the assertion of `private_key_jwt` is for: the issuer (RFC 7523bis), unless the product insists."""
    tenant_claim: str = "tenant"
    """The claim that names the customer."""
    needs_tenant: bool = False
    """One issuer for all customers: who they are has to be pinned."""
    has_tenant_in_issuer: bool = False
    """The customer's id stands in the issuer, and people are known by it and `subject_claim`."""
    verified_claim: str = "email_verified"
    verified_values: tuple[object, ...] = (True,)
    fresh_prompt: str = "login"
    sends_max_age: bool = True
    hint: Literal["hd", "domain_hint"] | None = None
    """The parameter that spares people the choice of their organisation."""
    claims_request: Mapping[str, object] | None = None
    """Claims of the ID token it gives only to those who ask for them."""
    mfa_acr: str | None = None
    """Its own name for "two factors", to be asked for."""
    has_authentication_contexts: bool = False
    """`c1` to `c99` are asked for, and come, as `acrs`."""
    token_kind: str | None = None
    """What its ID tokens, and only those, have as the claim `typ`."""
    has_graph: bool = False
    """Beyond a number of groups it only points at them; Microsoft Graph knows them."""

    def is_issuer(self, issuer: str) -> bool:
        """Whether an issuer can be one of this product's."""
        return re.fullmatch(self.issuer_form, issuer) is not None

    def scopes_at(self, issuer: str) -> tuple[str, ...]:
        """The scopes to ask for where nobody says otherwise."""
        is_root = issuer.count("/") == 2
        return tuple(scope for scope in self.scopes if is_root or scope not in self.root_scopes)


_ADMIN_STEPS = (
    "Register a web application that signs people in with OpenID Connect and the authorization code flow.",
    "Its redirect URI (or callback URL) is exactly {redirect_uri}",
)
_SECRET_STEP = (
    "Create a client secret, and keep it where this server reads it: env:NAME or file:PATH."  # noqa: S105
)

PRESETS: Mapping[str, Preset] = {
    "generic": Preset(
        product="OpenID Connect",
        words=(
            *_ADMIN_STEPS,
            _SECRET_STEP,
            "The issuer is what its /.well-known/openid-configuration calls itself, to the letter.",
        ),
    ),
    "okta": Preset(
        product="Okta",
        # The admin console has a host of its own, and it is what stands in the address bar while one sets this up.
        issuer_form=r"https?://(?![^/]*-admin\.)[^/]+(?:/oauth2/[A-Za-z0-9]+)?",
        issuer_example="https://example.okta.com",
        scopes=("openid", "email", "profile", "groups"),
        root_scopes=frozenset({"groups"}),
        assertion_audience="token_endpoint",
        mfa_acr="urn:okta:loa:2fa:any",
        words=(
            "Applications > Create App Integration > OIDC, Web Application.",
            "Sign-in redirect URI: {redirect_uri} - and no wildcard.",
            "Assign the people or groups that may come here.",
            "Sign On > OpenID Connect ID Token > Groups claim: filter, `groups`, with the groups this server maps.",
            _SECRET_STEP,
            "The issuer is https://YOUR-ORG.okta.com, or that of a custom authorization server.",
        ),
    ),
    "entra": Preset(
        product="Microsoft Entra ID",
        issuer_form=rf"https?://[^/]+/{_GUID}/v2\.0",
        issuer_example="https://login.microsoftonline.com/DIRECTORY-ID/v2.0",
        scopes=("openid", "email", "profile", "User.Read"),
        userinfo="never",
        subject_claim="oid",
        assertion_audience="token_endpoint",
        tenant_claim="tid",
        has_tenant_in_issuer=True,
        verified_claim="xms_edov",
        verified_values=(True, 1, "1", "true"),
        hint="domain_hint",
        has_authentication_contexts=True,
        has_graph=True,
        words=(
            "App registrations > New registration: accounts in this organizational directory only.",
            "Redirect URI, platform Web: {redirect_uri}",
            "Token configuration > optional claims of the ID token: email, xms_edov, auth_time, sid.",
            "Token configuration > groups claim: groups assigned to the application, as group id.",
            "API permissions: delegated User.Read of Microsoft Graph, for people in very many groups.",
            _SECRET_STEP,
            "The issuer is https://login.microsoftonline.com/DIRECTORY-ID/v2.0, with the id, not a name.",
        ),
    ),
    "google": Preset(
        product="Google Workspace",
        issuer="https://accounts.google.com",
        userinfo="never",
        tenant_claim="hd",
        needs_tenant=True,
        hint="hd",
        # Google signs nobody in anew because a site asks; it tells when they last did to those who ask for it.
        fresh_prompt="select_account",
        sends_max_age=False,
        claims_request={"auth_time": {"essential": True}, "amr": {"essential": True}},
        words=(
            "Google Cloud console > Google Auth Platform > Clients > Create client: web application.",
            "Authorized redirect URI: {redirect_uri}",
            "Audience: internal, so that only people of your organisation can use it.",
            "Settings > session age claims, if a role or a scope asks for a recent sign-in.",
            _SECRET_STEP,
            "The tenant is your primary domain: what Google says as `hd` of your people.",
        ),
    ),
    "jumpcloud": Preset(
        product="JumpCloud",
        issuer="https://oauth.id.jumpcloud.com/",
        words=(
            "SSO Applications > Add New Application > Custom OIDC App.",
            "Redirect URI: {redirect_uri}; client authentication: client secret basic.",
            "Attribute mapping: scopes email and profile; include the group attribute, named groups.",
            "User Groups: which of them have this application.",
            _SECRET_STEP,
        ),
    ),
    "keycloak": Preset(
        product="Keycloak",
        issuer_form=r"https?://.+/realms/[^/?#]+",
        issuer_example="https://sso.example.com/realms/REALM",
        token_kind="ID",  # noqa: S106 -- a kind
        words=(
            "Clients > Create client: OpenID Connect, client authentication on, standard flow only.",
            "Valid redirect URI: {redirect_uri} - and no wildcard.",
            "Client scopes > the dedicated scope > Add mapper > Group Membership, claim name groups.",
            "With `full group path` a group is called /parent/child, and is mapped by exactly that.",
            "Advanced > Proof Key for Code Exchange: S256.",
            "Credentials: copy the secret, and keep it where this server reads it: env:NAME or file:PATH.",
        ),
    ),
    "ping": Preset(
        product="PingOne and PingFederate",
        issuer_example="https://auth.pingone.com/ENVIRONMENT-ID/as",
        # Of more than 25 values its ID tokens say that there are too many.
        userinfo="always",
        words=(
            "Applications > Add application: OIDC web app.",
            "Redirect URI: {redirect_uri}; response type code, grant type authorization code, PKCE S256.",
            "Attribute mappings: groups = Group Names; delivery through UserInfo.",
            "Resources: openid, email, profile.",
            _SECRET_STEP,
        ),
    ),
    "auth0": Preset(
        product="Auth0",
        # It calls itself by a URL that ends in a slash, and everybody forgets that.
        issuer_form=r"https?://[^/]+/",
        issuer_example="https://example.eu.auth0.com/",
        groups_claim="https://mcp-authz/groups",
        reserved_claims=frozenset({"groups", "roles", "permissions", "entitlements"}),
        mfa_acr="http://schemas.openid.net/pape/policies/2007/06/multi-factor",
        words=(
            "Applications > Create Application: regular web application.",
            "Allowed callback URL: {redirect_uri}",
            "Advanced settings > OAuth: OIDC conformant, RS256.",
            "Actions > post-login: api.idToken.setCustomClaim('https://mcp-authz/groups', [...]).",
            "A groups claim without such a namespace is dropped.",
            _SECRET_STEP,
            "The issuer is https://YOUR-TENANT.auth0.com/ with the slash at its end.",
        ),
    ),
}
"""By the names that connections are set up with."""
