"""The bill of materials of an environment, as CycloneDX 1.6: run it with the environment's own interpreter.

    /opt/authz/bin/python deploy/image/sbom.py > sbom.cdx.json

The same environment always has the same text: no moment and no random number is in it. Needs Python alone.
"""

import importlib.metadata
import json
import re
import sys
import uuid
from typing import Any

NAME = "mcp-authz"
NOT_SHIPPED = frozenset({"pip", "setuptools", "wheel"})


def components() -> list[dict[str, Any]]:
    """Every package that is installed beside the interpreter, by name."""
    found = {}
    for package in importlib.metadata.distributions():
        name = re.sub(r"[-_.]+", "-", package.metadata["Name"]).lower()
        if name not in NOT_SHIPPED:
            found[name] = component(name, package)
    return [found[name] for name in sorted(found)]


def component(name: str, package: importlib.metadata.Distribution) -> dict[str, Any]:
    """One package."""
    reference = f"pkg:pypi/{name}@{package.version}"
    made: dict[str, Any] = {
        "type": "library",
        "bom-ref": reference,
        "name": name,
        "version": package.version,
        "purl": reference,
    }
    licence = package.metadata.get("License-Expression")
    if licence:
        made["licenses"] = [{"expression": licence}]
    summary = package.metadata.get("Summary")
    if summary:
        made["description"] = summary
    return made


def document() -> dict[str, Any]:
    """The whole."""
    every = components()
    own = [it for it in every if it["name"] == NAME]
    others = [it for it in every if it["name"] != NAME]
    python = ".".join(map(str, sys.version_info[:3]))
    others.append(
        {
            "type": "platform",
            "bom-ref": f"python@{python}",
            "name": "python",
            "version": python,
            "purl": f"pkg:generic/python@{python}",
        }
    )
    made: dict[str, Any] = {"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1}
    text = json.dumps([own, others], sort_keys=True)
    made["serialNumber"] = f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, text)}"
    made["metadata"] = {
        "component": {**own[0], "type": "application"}
        if own
        else {"type": "application", "name": NAME}
    }
    made["components"] = others
    return made


if __name__ == "__main__":
    sys.stdout.write(json.dumps(document(), indent=2, sort_keys=True) + "\n")
