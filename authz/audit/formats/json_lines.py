"""JSON: the text that was hashed, with its hash, so that a receiver can check the chain by itself."""

import json

from authz.audit.formats.told import Told


def render(event: Told) -> str:
    """`{"hash": …, "body": {…}}`; the body stands as it was hashed, byte for byte."""
    stored = event.stored
    if "\n" in stored.body or not stored.body.startswith("{"):
        return json.dumps({"hash": stored.hash, "body": stored.body})
    digest = stored.hash
    # Hexadecimal, unless somebody wrote over it.
    told = f'"{digest}"' if digest.isascii() and digest.isalnum() else json.dumps(digest)
    return f'{{"hash":{told},"body":{stored.body}}}'
