"""The grant types this server offers. Adding one is a file and a line here; metadata follows from this table."""

from authz.oauth.authorization import Grant
from authz.oauth.grants.authorization_code import AuthorizationCodeGrant
from authz.oauth.grants.client_credentials import ClientCredentialsGrant
from authz.oauth.grants.device_code import DeviceCodeGrant
from authz.oauth.grants.gathering import Gathering
from authz.oauth.grants.jwt_bearer import JwtBearerGrant
from authz.oauth.grants.refresh_token import RefreshTokenGrant
from authz.oauth.grants.token_exchange import TokenExchangeGrant

GRANTS: dict[str, Grant] = {
    grant.grant_type: grant
    for grant in (
        AuthorizationCodeGrant(),
        RefreshTokenGrant(),
        ClientCredentialsGrant(),
        DeviceCodeGrant(),
        JwtBearerGrant(),
        TokenExchangeGrant(),
    )
}
GATHERING: dict[str, Gathering] = {
    grant.grant_type: grant for grant in (JwtBearerGrant(), TokenExchangeGrant())
}
"""Those that look at what they redeem, maybe by way of the network, before they are prepared."""
