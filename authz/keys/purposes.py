"""What signing keys are for, and with which algorithms: one key, one algorithm, one purpose (CONF-13)."""

from collections.abc import Mapping

ALGORITHMS = ("ES256", "RS256")
ACCESS_TOKEN = "access_token"  # noqa: S105 -- a purpose, not a secret
AUDIT = "audit"
ID_TOKEN = "id_token"  # noqa: S105 -- a purpose, not a secret
ID_JAG = "id_jag"
INTROSPECTION = "introspection"
PURPOSES: Mapping[str, tuple[str, ...]] = {
    ACCESS_TOKEN: ALGORITHMS,
    AUDIT: ("ES256",),
    ID_TOKEN: ALGORITHMS,
    ID_JAG: ("ES256",),
    INTROSPECTION: ("ES256",),
}
