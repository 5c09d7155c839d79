"""Reading the challenge of a 401 (RFC 9110 §11.6.1, RFC 9728 §5.1). Pure."""

import re
from collections.abc import Mapping

_BEARER = re.compile(r"(?:^|,)\s*bearer(?:\s+|$)", re.IGNORECASE)
_PARAMETER = re.compile(r'\s*,?\s*([A-Za-z0-9_\-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')


def bearer_parameters(header: str | None) -> Mapping[str, str] | None:
    """The parameters of the Bearer challenge, names in lower case; None when there is no such challenge."""
    begin = _BEARER.search(header or "")
    if header is None or begin is None:
        return None
    parameters: dict[str, str] = {}
    position = begin.end()
    while match := _PARAMETER.match(header, position):
        name, quoted, plain = match.groups()
        value = plain if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
        parameters.setdefault(name.lower(), value)
        position = match.end()
    return parameters
