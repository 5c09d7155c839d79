"""CEF: version 0 of the Common Event Format, as SIEMs read it."""

from collections.abc import Mapping

from authz import __version__
from authz.audit.formats.told import Told

_INFORMATIONAL, _MEDIUM, _HIGH = 2, 5, 9


def render(event: Told) -> str:
    """`CEF:0|vendor|product|version|kind|name|severity|extension`."""
    stored, body, detail = event.stored, event.body, event.detail
    severity = _HIGH if event.is_alarming else _MEDIUM if event.is_refusal else _INFORMATIONAL
    header = ("mcp-authz", "mcp-authz", __version__, stored.kind, _name(stored.kind), str(severity))
    told: dict[str, object] = {
        "rt": event.milliseconds,
        "externalId": event.uid,
        "outcome": "failure" if event.is_refusal else "success",
        "suid": body.get("actor"),
        "duid": body.get("subject"),
        "reason": detail.get("reason"),
        "request": detail.get("resource"),
        **_custom(1, "client", body.get("client")),
        **_custom(2, "agent", body.get("agent")),
        **_custom(3, "hash", stored.hash),
        **_custom(4, "trace", body.get("trace")),
        **_custom(5, "grant", detail.get("grant_id")),
        **_custom(6, "scopes", _joined(detail.get("scopes"))),
    }
    extension = " ".join(f"{n}={_value(str(v))}" for n, v in told.items() if v is not None)
    return f"CEF:0|{'|'.join(map(_header, header))}|{extension}"


def _custom(number: int, label: str, value: object) -> Mapping[str, object]:
    if value is None:
        return {}
    return {f"cs{number}Label": label, f"cs{number}": value}


def _joined(value: object) -> str | None:
    return " ".join(map(str, value)) if isinstance(value, list) else None


def _name(kind: str) -> str:
    return kind.replace(".", " ").replace("_", " ")


def _header(text: str) -> str:
    return _value(text).replace("\\=", "=").replace("|", "\\|")


def _value(text: str) -> str:
    """An equal sign would begin another field, and an end of line another event (ATK-67)."""
    escaped = text.replace("\\", "\\\\").replace("=", "\\=")
    return escaped.replace("\r", "\\r").replace("\n", "\\n")
