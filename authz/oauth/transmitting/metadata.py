"""Where the transmitter's endpoints are (OpenID SSF 1.0 §7.1). Pure."""

import json

from authz.oauth.transmitting.requests import POLL
from authz.policy.signals import SSF_PATH

WELL_KNOWN = "ssf-configuration"
STREAMS, STATUS, ADD, REMOVE, VERIFY, FETCH = (
    f"{SSF_PATH}/{name}"
    for name in ("streams", "status", "subjects/add", "subjects/remove", "verify", "poll")
)


def document(issuer: str) -> bytes:
    """The served bytes."""
    return json.dumps(
        {
            "spec_version": "1_0",
            "issuer": issuer,
            "jwks_uri": f"{issuer}/jwks",
            "delivery_methods_supported": [POLL],
            "configuration_endpoint": f"{issuer}{STREAMS}",
            "status_endpoint": f"{issuer}{STATUS}",
            "add_subject_endpoint": f"{issuer}{ADD}",
            "remove_subject_endpoint": f"{issuer}{REMOVE}",
            "verification_endpoint": f"{issuer}{VERIFY}",
            "critical_subject_members": [],
            "authorization_schemes": [{"spec_urn": "urn:ietf:rfc:6749"}],
            "default_subjects": "ALL",
        },
        separators=(",", ":"),
    ).encode()


def poll_url(issuer: str, stream_id: str) -> str:
    """Where the events of a stream are fetched."""
    return f"{issuer}{FETCH}/{stream_id}"
