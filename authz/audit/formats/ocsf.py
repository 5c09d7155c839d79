"""OCSF 1.6 (Open Cybersecurity Schema Framework): classes of Identity & Access Management and of Findings."""

import json
from collections.abc import Mapping
from typing import Any

from authz import __version__
from authz.audit.formats.told import Told

SCHEMA = "1.6.0"
_INFORMATIONAL, _LOW, _HIGH = 1, 2, 4
_SUCCESS, _FAILURE = 1, 2
AUTHENTICATION, AUTHORIZE_SESSION, ENTITY_MANAGEMENT, USER_ACCESS = 3002, 3003, 3004, 3005
DETECTION = 2004
_OTHER = 99
# By kind, else by its first part: class and activity.
_CLASSES: Mapping[str, tuple[int, int]] = {
    "alert.raised": (DETECTION, 1),
    "login": (AUTHENTICATION, 1),
    "session.ended": (AUTHENTICATION, 2),
    "token": (AUTHORIZE_SESSION, _OTHER),
    "grant": (AUTHORIZE_SESSION, _OTHER),
    "code": (AUTHORIZE_SESSION, _OTHER),
    "consent.granted": (USER_ACCESS, 1),
    "consent.refused": (USER_ACCESS, _OTHER),
    "access.ended": (USER_ACCESS, 2),
    "user.provisioned": (ENTITY_MANAGEMENT, 1),
    "client.registered": (ENTITY_MANAGEMENT, 1),
    "client.updated": (ENTITY_MANAGEMENT, 3),
    "client.removed": (ENTITY_MANAGEMENT, 4),
    "admin.changed": (ENTITY_MANAGEMENT, 3),
    "scim.changed": (ENTITY_MANAGEMENT, 3),
}


def render(event: Told) -> str:
    """One OCSF event. What has no attribute there is in `unmapped`, under our own names."""
    kind, body, detail = event.stored.kind, event.body, event.detail
    class_uid, activity = _CLASSES.get(kind) or _CLASSES.get(
        kind.partition(".")[0], (AUTHORIZE_SESSION, _OTHER)
    )
    subject, client = body.get("subject"), body.get("client")
    told: dict[str, Any] = {
        "class_uid": class_uid,
        "category_uid": class_uid // 1000,
        "activity_id": activity,
        "activity_name": kind,
        "type_uid": class_uid * 100 + activity,
        "time": event.milliseconds,
        "severity_id": _HIGH
        if event.is_alarming
        else (_LOW if event.is_refusal else _INFORMATIONAL),
        "status_id": _FAILURE if event.is_refusal else _SUCCESS,
        "metadata": {
            "version": SCHEMA,
            "product": {"name": "mcp-authz", "vendor_name": "mcp-authz", "version": __version__},
            "uid": event.uid,
            "event_code": kind,
            "tenant_uid": event.stored.tenant_id,
            "sequence": event.stored.position,
        },
        "user": {"uid": subject or client or "none"},
        "actor": {
            "user": {"uid": body.get("actor") or subject or client or "none"},
            "app_uid": client,
        },
        "unmapped": {
            "subject": subject,
            "client": client,
            "agent": body.get("agent"),
            "strand": event.stored.strand,
            "hash": event.stored.hash,
            "detail": detail,
        },
    }
    if isinstance(detail.get("reason"), str):
        told["status_detail"] = detail["reason"]
    if isinstance(detail.get("resource"), str):
        told["resources" if class_uid == USER_ACCESS else "service"] = _resource(
            detail["resource"], is_list=class_uid == USER_ACCESS
        )
    if class_uid == ENTITY_MANAGEMENT:
        told["entity"] = {"uid": str(detail.get("target") or subject or client), "type": kind}
    if class_uid == DETECTION:
        told["finding_info"] = {"uid": event.uid, "title": str(detail.get("rule"))}
    if isinstance(body.get("trace"), str):
        told["metadata"]["correlation_uid"] = body["trace"].partition("-")[0]
    return json.dumps(told, separators=(",", ":"))


def _resource(name: str, *, is_list: bool) -> Any:
    return [{"uid": name}] if is_list else {"uid": name}
