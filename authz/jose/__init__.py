"""The one wrapper round joserfc: signing what we issue, verifying every JWT that comes in.

`verify_jwt` takes a `Profile` and is the only way in (architecture D13): compact form only, capped length, an explicit
algorithm list bound to the key's type, `typ`, no header that names or carries a key, no duplicate members, string
`iss` and `sub`, one audience, finite times, bounded lifetime. Every failure is a `JwtError` with a private reason.

Never decides what a token is good for: callers choose the profile and read the claims.
"""

from authz.jose.compact import MAX_TOKEN_CHARS, JwtError, read_unverified
from authz.jose.keys import ASYMMETRIC, Key, fitting, import_jwks, import_private_key
from authz.jose.signing import is_signed_by, sign_jwt, sign_jwt_with
from authz.jose.verification import (
    BEFORE_SIGNATURE,
    LEEWAY,
    Profile,
    find_time_claim,
    time_claim,
    verify_embedded,
    verify_in_vain,
    verify_jwt,
    verify_signature,
)

__all__ = [
    "ASYMMETRIC",
    "BEFORE_SIGNATURE",
    "LEEWAY",
    "MAX_TOKEN_CHARS",
    "JwtError",
    "Key",
    "Profile",
    "find_time_claim",
    "fitting",
    "import_jwks",
    "import_private_key",
    "is_signed_by",
    "read_unverified",
    "sign_jwt",
    "sign_jwt_with",
    "time_claim",
    "verify_embedded",
    "verify_in_vain",
    "verify_jwt",
    "verify_signature",
]
