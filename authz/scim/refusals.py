"""What scim2-models finds wrong, as refusals of ours.

Apart from `scim.errors`, so that whoever only refuses (a bearer token, say) does not load the models.
"""

from collections.abc import Mapping

from pydantic import ValidationError
from scim2_models import Error, SCIMException

from authz.scim.errors import (
    InvalidFilter,
    InvalidPath,
    InvalidSyntax,
    InvalidValue,
    Mutability,
    NoTarget,
    ScimError,
)

_MAX_DETAIL_CHARS = 300
_BY_TYPE: Mapping[str, type[ScimError]] = {
    "invalidSyntax": InvalidSyntax,
    "invalidValue": InvalidValue,
    "invalidFilter": InvalidFilter,
    "invalidPath": InvalidPath,
    "noTarget": NoTarget,
    "mutability": Mutability,
}


def refusal_of(error: SCIMException | ValidationError) -> ScimError:
    """What scim2-models found wrong, as a refusal of ours; never with the value in it."""
    if isinstance(error, SCIMException) and isinstance(error.__cause__, ValidationError):
        # Its own text is that of pydantic, with the input and an address of its manual.
        error = error.__cause__
    if isinstance(error, ValidationError):
        found = Error.from_validation_errors(error.errors(include_url=False, include_input=False))[
            0
        ]
        scim_type, detail = found.scim_type, found.detail or ""
    else:
        scim_type, detail = error.scim_type, error.detail
    kind = _BY_TYPE.get(scim_type or "", InvalidValue)
    slug = "".join(f"_{c.lower()}" if c.isupper() else c for c in kind.scim_type or "")
    return kind(_printable(detail), reason=slug)


def _printable(text: str) -> str:
    line = " ".join(text.split())
    return "".join(c if c.isprintable() else "?" for c in line)[:_MAX_DETAIL_CHARS]
