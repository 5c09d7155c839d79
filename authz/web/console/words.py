"""How numbers and names of the protocol are said to people."""

from datetime import timedelta

GRANT_NAMES = {
    "authorization_code": "sign-in in a browser",
    "refresh_token": "staying signed in",
    "client_credentials": "on its own behalf",
    "urn:ietf:params:oauth:grant-type:device_code": "sign-in on another device",
    "urn:ietf:params:oauth:grant-type:jwt-bearer": "identity assertions (ID-JAG)",
    "urn:ietf:params:oauth:grant-type:token-exchange": "token exchange",
}
METHOD_NAMES = {
    "none": "nothing: it runs on people’s devices and keeps no secret",
    "client_secret_basic": "a secret, in a header",
    "client_secret_post": "a secret, in the form",
    "private_key_jwt": "a signature of its own key",
    "tls_client_auth": "a certificate that an authority issued (mTLS)",
    "self_signed_tls_client_auth": "a certificate of its own (mTLS)",
}
KIND_NAMES = {
    "registered": "registered here",
    "cimd": "published document",
    "dynamic": "registered itself",
}


def counted(number: int, one: str, many: str = "") -> str:
    """`3 grants`, `1 grant`."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def lasting(span: timedelta) -> str:
    """`2 days`, `5 minutes`."""
    seconds = int(span.total_seconds())
    for size, name in ((86_400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size and seconds % size == 0:
            return counted(seconds // size, name)
    return counted(seconds, "second")
