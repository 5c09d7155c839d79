"""What tokens are called: in their own header, and in token exchange (RFC 8693 §3; ID-JAG §4.3)."""

TOKEN_TYP = "at+jwt"  # noqa: S105 -- RFC 9068 §2.1

ACCESS_TOKEN_TYPE = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105 -- names
REFRESH_TOKEN_TYPE = "urn:ietf:params:oauth:token-type:refresh_token"  # noqa: S105
ID_TOKEN_TYPE = "urn:ietf:params:oauth:token-type:id_token"  # noqa: S105
ID_JAG_TYPE = "urn:ietf:params:oauth:token-type:id-jag"
UPSTREAM_CREDENTIAL_TYPE = "urn:authz:token-type:upstream-credential"
"""Of ours: a credential of another system. No token of this server, and no JWT."""
