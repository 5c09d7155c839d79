"""What this server signs."""

from authz.oauth.claims.claim import (
    DETAILS,
    EXP,
    GRANT,
    IAT,
    ISS,
    PERSON,
    SIGN_IN,
    SOMETIMES,
    Claim,
    TokenKind,
)

ACCESS_TOKEN_CLAIMS = (
    ISS,
    Claim(
        "sub",
        "text",
        "Whom it is about: a person (`usr_`), a workload (`wkl_`), or the client itself.",
        "RFC 9068 §2.2",
    ),
    Claim("aud", "URL", "The one MCP server it is for.", "RFC 9068 §2.2, RFC 8707 §2"),
    Claim("client_id", "text", "The application that acts.", "RFC 9068 §2.2"),
    IAT,
    EXP,
    Claim("jti", "text", "Its name, unique for ever: `authz explain JTI`.", "RFC 7519 §4.1.7"),
    Claim("scope", "text", "What it holds: scopes with a space between.", "RFC 9068 §2.2.3"),
    GRANT,
    Claim("tenant", "text", "The slug of the tenant.", "-"),
    Claim(
        "policy_version",
        "number",
        "The version of the configuration it was decided under; what is switched off later ends those of before.",
        "-",
    ),
    *SIGN_IN,
    Claim("connection", "text", "The identity provider they came through.", "-", SOMETIMES),
    Claim(
        "cnf",
        "object",
        "What it is bound to: `jkt` (a key, DPoP) or `x5t#S256` (a certificate).",
        "RFC 7800 §3, RFC 9449 §6, RFC 8705 §3",
        SOMETIMES,
    ),
    DETAILS,
    Claim(
        "act",
        "object",
        "Who acts for the subject, the current one outside, those before inside.",
        "RFC 8693 §4.1",
        SOMETIMES,
    ),
    Claim(
        "may_act",
        "object",
        "The one client that may exchange it.",
        "RFC 8693 §4.4",
        SOMETIMES,
    ),
    Claim(
        "mcp_tools",
        "list of texts",
        "The tools that its scopes open, where the tenant reviews them.",
        "-",
        SOMETIMES,
    ),
    Claim(
        "status",
        "object",
        "Its place in a status list, where the MCP server uses them.",
        "Token Status List §6.1",
        SOMETIMES,
    ),
)

MADE: tuple[TokenKind, ...] = (
    TokenKind(
        "Access token",
        "at+jwt",
        "For one MCP server, which verifies it with the published keys. Ten minutes, unless `tokens.access_token` says"
        " otherwise. No personal data.",
        ACCESS_TOKEN_CLAIMS,
    ),
    TokenKind(
        "ID token",
        "JWT",
        "For the client alone: who signed in. Comes with the scope `openid`, and lasts as long as the access token"
        " beside it.",
        (
            ISS,
            Claim("sub", "text", "The person.", "OIDC Core §2"),
            Claim("aud", "text", "The client.", "OIDC Core §2"),
            IAT,
            EXP,
            GRANT,
            Claim("nonce", "text", "That of the request.", "OIDC Core §2", SOMETIMES),
            *SIGN_IN,
            *PERSON,
        ),
    ),
    TokenKind(
        "ID-JAG that this server makes",
        "oauth-id-jag+jwt",
        "For another company's authorization server: this person may use it through this client. Five minutes.",
        (
            ISS,
            Claim("sub", "text", "The person.", "ID-JAG §3.1"),
            Claim("aud", "URL", "The issuer it is for.", "ID-JAG §3.1"),
            Claim("client_id", "text", "What the client is called there.", "ID-JAG §3.1"),
            Claim("jti", "text", "Its name; good once.", "ID-JAG §3.1"),
            IAT,
            EXP,
            Claim("resource", "URL", "The MCP server there.", "ID-JAG §3.1"),
            Claim("scope", "text", "What is asked for there.", "ID-JAG §3.1"),
            *SIGN_IN,
            *(it for it in PERSON if it.name.startswith("email")),
            DETAILS,
            Claim(
                "cnf",
                "object",
                "The key (`jkt`) of whoever may redeem it.",
                "RFC 7800 §3",
                SOMETIMES,
            ),
        ),
    ),
    TokenKind(
        "Introspection answer",
        "token-introspection+jwt",
        "The answer of `/introspect` as a JWT, for who asks with `Accept: application/token-introspection+jwt`.",
        (
            ISS,
            Claim("aud", "text", "The client that asked.", "RFC 9701 §5"),
            IAT,
            Claim("token_introspection", "object", "The answer itself, as below.", "RFC 9701 §5"),
        ),
    ),
    TokenKind(
        "Security event token that this server sends",
        "secevent+jwt",
        "What ended, told to the receivers of a stream ([cut-off.md](cut-off.md)). Neither `sub` nor `exp`, so nothing"
        " takes it for a token of another kind.",
        (
            ISS,
            Claim("aud", "text", "The receiver's client.", "RFC 8417 §2.2"),
            IAT,
            Claim("jti", "text", "Its name: what is acknowledged.", "RFC 8417 §2.2"),
            Claim(
                "sub_id",
                "object",
                "Whom it is about: a person with a session (`complex`), a token (`jwt_id`), or the stream (`opaque`).",
                "RFC 9493 §3",
            ),
            Claim(
                "events",
                "object",
                "One event: its type, and what there is to say of it.",
                "RFC 8417 §2.2",
            ),
        ),
    ),
    TokenKind(
        "Revocation feed",
        "revocations+jwt",
        "What ended since the reader last asked ([cut-off.md](cut-off.md#the-protocol)).",
        (
            ISS,
            Claim("aud", "text", "The client that reads.", "-"),
            IAT,
            Claim("as_of", "seconds", "Nothing that ended before is missing.", "-"),
            Claim("waited", "seconds", "How long the answer waited for news.", "-"),
            Claim("upto", "number", "Where to go on from.", "-"),
            Claim("has_more", "`true` or `false`", "Whether there is more at once.", "-"),
            Claim("entries", "list of objects", "What ended.", "-"),
        ),
    ),
    TokenKind(
        "Status list",
        "statuslist+jwt",
        "One bit for each token of a server that uses status lists.",
        (
            ISS,
            Claim("sub", "URL", "Where the list is.", "Token Status List §5.1"),
            IAT,
            EXP,
            Claim("ttl", "seconds", "How long it may be kept.", "Token Status List §5.1"),
            Claim(
                "status_list",
                "object",
                "`bits`, and `lst`: the bits, compressed and in base64url.",
                "Token Status List §4.2",
            ),
        ),
    ),
    TokenKind(
        "Export of the audit trail",
        "audit-export+jwt",
        "In the file that `authz audit export` writes: what has to be in it ([audit.md](audit.md#export-and-check)).",
        (
            ISS,
            IAT,
            Claim("tenant", "text", "The id of the tenant.", "-"),
            Claim("since", "text or `null`", "From when, where a part was asked for.", "-"),
            Claim("until", "text or `null`", "Up to when.", "-"),
            Claim("strands", "text", "Digest of how far each strand goes.", "-"),
            Claim("removed", "text", "Digest of what retention removed.", "-"),
            Claim("checkpoints", "number", "How many there were.", "-"),
            Claim("checkpoint", "text", "SHA-256 of the newest.", "-"),
        ),
    ),
    TokenKind(
        "Checkpoint of the audit trail",
        "audit-checkpoint+jwt",
        "Ties the ends of all strands of a tenant together ([events.md](events.md)).",
        (
            ISS,
            IAT,
            Claim("position", "number", "Its number, from 1.", "-"),
            Claim("previous", "text", "SHA-256 of the checkpoint before.", "-"),
            Claim("heads", "object", "Strand to its last position and hash, where it moved.", "-"),
            Claim("removed", "text", "Digest of what retention removes.", "-", SOMETIMES),
        ),
    ),
)
"""What this server signs."""

INTROSPECTION_ANSWER = (
    Claim(
        "active",
        "`true` or `false`",
        "Whether it is worth anything to whoever asks.",
        "RFC 7662 §2.2",
    ),
    Claim("token_type", "text", "`Bearer` or `DPoP`.", "RFC 7662 §2.2", SOMETIMES),
)
"""Before the claims of the access token. `false` stands alone: neither why nor of whom is said."""
