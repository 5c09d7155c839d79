"""The kinds of identity providers, by name. A new one is a file and a line here."""

from collections.abc import Mapping
from importlib import import_module
from typing import cast

from authz.errors import ConfigurationError
from authz.federation.connector import Connector, Tools

CONNECTORS: Mapping[str, str] = {
    # "KIND": "authz.federation.MODULE:CLASS"; whoever writes a connector adds its line with it.
    "oidc": "authz.federation.oidc:OidcConnector",
    "saml": "authz.federation.saml:SamlConnector",
}
"""Imported when first used: a kind may need packages that an installation without it does not have."""


class Connectors:
    """The connectors of one process."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._made: dict[str, Connector] = {}

    def of(self, kind: str) -> Connector:
        """The connector of this kind. Raises ConfigurationError when its packages are missing."""
        if kind not in self._made:
            module, _, name = CONNECTORS[kind].partition(":")
            try:
                made = getattr(import_module(module), name)(self._tools)
            except ModuleNotFoundError as error:
                raise ConfigurationError(
                    f"connections of the kind {kind} need the package {error.name}; "
                    f"install this server with the extra {kind}"
                ) from None
            self._made[kind] = cast("Connector", made)
        return self._made[kind]
