"""What this server verifies."""

from authz.oauth.claims.claim import DETAILS, SIGN_IN, SOMETIMES, Claim, TokenKind

_THEIR_JTI = Claim("jti", "text", "Its name; at most 256 characters, good once.", "RFC 7519 §4.1.7")
_NBF = Claim("nbf", "seconds", "From when it is good.", "RFC 7519 §4.1.5", SOMETIMES)

TAKEN: tuple[TokenKind, ...] = (
    TokenKind(
        "ID-JAG of an identity provider",
        "oauth-id-jag+jwt",
        "Redeemed with the grant `urn:ietf:params:oauth:grant-type:jwt-bearer`"
        " ([enterprise-managed-authorization.md](enterprise-managed-authorization.md)).",
        (
            Claim("iss", "URL", "The identity provider, as a trust entry names it.", "ID-JAG §3.1"),
            Claim("sub", "text", "The person there.", "ID-JAG §3.1"),
            Claim("aud", "URL", "This issuer, and nothing beside it.", "ID-JAG §3.1"),
            Claim("client_id", "text", "The client that presents it.", "ID-JAG §3.1"),
            Claim(
                "exp",
                "seconds",
                "Its end; it may live as long as the trust entry allows.",
                "ID-JAG §3.1",
            ),
            Claim("iat", "seconds", "When it was made.", "ID-JAG §3.1"),
            _NBF,
            Claim("jti", "text", "Its name; at most 256 characters, good once.", "ID-JAG §3.1"),
            Claim(
                "resource",
                "URL or list",
                "The MCP servers it is good for.",
                "ID-JAG §3.1",
                SOMETIMES,
            ),
            Claim("scope", "text", "The most that may come of it.", "ID-JAG §3.1", SOMETIMES),
            *SIGN_IN,
            Claim(
                "email",
                "text",
                "To find the account, where the trust entry lets it.",
                "ID-JAG §3.1",
                SOMETIMES,
            ),
            Claim(
                "email_verified",
                "`true` or `false`",
                "Without `true` the address counts for nothing.",
                "OIDC Core §5.1",
                SOMETIMES,
            ),
            Claim("name", "text", "For an account that is made.", "OIDC Core §5.1", SOMETIMES),
            Claim(
                "tenant",
                "text",
                "The provider's customer, where it has many.",
                "ID-JAG §3.1",
                SOMETIMES,
            ),
            Claim("aud_tenant", "text", "The tenant here.", "ID-JAG §3.1", SOMETIMES),
            Claim(
                "sub_id",
                "object",
                "The person by another kind of name (SAML NameID).",
                "ID-JAG §3.2",
                SOMETIMES,
            ),
            Claim(
                "cnf",
                "object",
                "The key (`jkt`) that has to be proved with it.",
                "RFC 7800 §3",
                SOMETIMES,
            ),
            DETAILS,
        ),
    ),
    TokenKind(
        "Logout token of an OpenID provider",
        "logout+jwt",
        "Back-channel logout: ends what somebody's sign-in there led to ([offboarding.md](offboarding.md)). `JWT` or no"
        " `typ` is taken as well.",
        (
            Claim("iss", "URL", "The provider of the connection.", "OIDC Back-Channel Logout §2.4"),
            Claim("aud", "text", "Our `client_id` there.", "OIDC Back-Channel Logout §2.4"),
            Claim("iat", "seconds", "When it was made.", "OIDC Back-Channel Logout §2.4"),
            Claim("exp", "seconds", "Its end.", "OIDC Back-Channel Logout §2.4"),
            _NBF,
            _THEIR_JTI,
            Claim(
                "events",
                "object",
                "Has the one member that makes it a logout token.",
                "OIDC Back-Channel Logout §2.4",
            ),
            Claim(
                "sub", "text", "Who; or `sid`, or both.", "OIDC Back-Channel Logout §2.4", SOMETIMES
            ),
            Claim("sid", "text", "Which session.", "OIDC Back-Channel Logout §2.4", SOMETIMES),
        ),
    ),
    TokenKind(
        "Security event token of a transmitter",
        "secevent+jwt",
        "CAEP and RISC events, pushed or fetched ([offboarding.md](offboarding.md)). `sub` or `exp` make it refused.",
        (
            Claim("iss", "URL", "The transmitter of the stream.", "RFC 8417 §2.2"),
            Claim("aud", "URL", "This issuer, or what the stream names.", "RFC 8417 §2.2"),
            Claim("iat", "seconds", "When it was made.", "RFC 8417 §2.2"),
            Claim("jti", "text", "Its name; counts once.", "RFC 8417 §2.2"),
            Claim("events", "object", "Exactly one event.", "RFC 8417 §2.2"),
            Claim("sub_id", "object", "Whom it is about.", "RFC 9493 §3", SOMETIMES),
            Claim(
                "toe",
                "seconds",
                "When it happened, where the event does not say.",
                "RFC 8417 §2.2",
                SOMETIMES,
            ),
        ),
    ),
    TokenKind(
        "Client assertion",
        "client-authentication+jwt",
        "How a client proves who it is with `private_key_jwt`. `JWT` or no `typ` is taken as well.",
        (
            Claim("iss", "text", "Its `client_id`.", "RFC 7523 §3"),
            Claim("sub", "text", "Its `client_id`.", "RFC 7523 §3"),
            Claim("aud", "URL", "This issuer.", "RFC 7523bis §3"),
            Claim("exp", "seconds", "Its end, minutes away.", "RFC 7523 §3"),
            _THEIR_JTI,
            Claim("iat", "seconds", "When it was made.", "RFC 7523 §3", SOMETIMES),
            Claim("nbf", "seconds", "From when it is good.", "RFC 7523 §3", SOMETIMES),
        ),
    ),
    TokenKind(
        "DPoP proof",
        "dpop+jwt",
        "That the sender holds a key, for one request. The public key is in the header (`jwk`).",
        (
            Claim("htm", "text", "The method of the request.", "RFC 9449 §4.2"),
            Claim("htu", "URL", "Its address, without query.", "RFC 9449 §4.2"),
            Claim("iat", "seconds", "When it was made: at most two minutes ago.", "RFC 9449 §4.2"),
            Claim("jti", "text", "Its name; good once.", "RFC 9449 §4.2"),
            Claim(
                "ath",
                "text",
                "SHA-256 of the access token that goes with it.",
                "RFC 9449 §4.2",
                SOMETIMES,
            ),
            Claim(
                "nonce",
                "text",
                "That of the `DPoP-Nonce` header, where one is demanded.",
                "RFC 9449 §4.2",
                SOMETIMES,
            ),
        ),
    ),
)
"""What this server verifies."""
