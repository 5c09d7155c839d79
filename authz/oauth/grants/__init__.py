"""The grant types this server offers. Adding one is a file and a line here; metadata follows from this table."""

from authz.oauth.authorization import Grant
from authz.oauth.grants.authorization_code import AuthorizationCodeGrant
from authz.oauth.grants.client_credentials import ClientCredentialsGrant
from authz.oauth.grants.device_code import DeviceCodeGrant
from authz.oauth.grants.jwt_bearer import JwtBearerGrant
from authz.oauth.grants.refresh_token import RefreshTokenGrant

GRANTS: dict[str, Grant] = {
    grant.grant_type: grant
    for grant in (
        AuthorizationCodeGrant(),
        RefreshTokenGrant(),
        ClientCredentialsGrant(),
        DeviceCodeGrant(),
        JwtBearerGrant(),
    )
}
GATHERING: dict[str, JwtBearerGrant] = {JwtBearerGrant.grant_type: JwtBearerGrant()}
"""Those that ask the network before they are prepared."""
