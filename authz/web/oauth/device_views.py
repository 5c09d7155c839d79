"""The contexts of the device pages: what is known first (code, client, where from), what it may do second."""

from datetime import datetime

from starlette.responses import Response

from authz.directory.sessions import SignedIn
from authz.oauth.configuration import TenantConfiguration
from authz.oauth.device_approval import WaitingDevice
from authz.oauth.devices import shown_user_code
from authz.policy import Decision
from authz.web.edge import Edge
from authz.web.oauth.consent_page import shown_removals, shown_scopes


def enter_page(
    edge: Edge,
    configuration: TenantConfiguration,
    signed_in: SignedIn,
    user_code: str,
    *,
    error: str | None = None,
    status: int = 200,
) -> Response:
    """The field for the code, filled in with a code from a link or one that was refused."""
    path = configuration.tenant.path
    return _page(
        edge,
        configuration,
        "device/enter.html",
        status=status,
        page_title="Connect a device",
        action=f"{path}/device",
        switch_user_action=f"{path}/device/switch",
        user_label=signed_in.login,
        user_code=shown_user_code(user_code),
        error=error,
    )


def confirm_page(
    edge: Edge,
    configuration: TenantConfiguration,
    signed_in: SignedIn,
    device: WaitingDevice,
    decision: Decision,
    *,
    confirm_id: str,
    user_code: str,
    address: str,
    now: datetime,
) -> Response:
    """What the person decides about (RFC 8628 §3.3, §5.4); `address` is the browser's own."""
    path = configuration.tenant.path
    return _page(
        edge,
        configuration,
        "device/confirm.html",
        page_title="Allow a device",
        action=f"{path}/device/confirm",
        switch_user_action=f"{path}/device/switch",
        confirm_id=confirm_id,
        user_code=shown_user_code(user_code),
        client_id=device.client.id,
        client_name=device.client.name,
        client_proven=device.client.is_confidential,
        resource_name=device.resource.name,
        resource_identifier=device.resource.identifier,
        user_label=signed_in.login,
        asked_from=device.asked_from,
        is_near=device.asked_from == address,
        asked_ago=_ago(device.asked_at, now),
        scopes=shown_scopes(device.resource, decision.granted),
        removed=shown_removals(decision),
        offline=device.offline_access or device.client.may_use("refresh_token"),
    )


def answered_page(
    edge: Edge, configuration: TenantConfiguration, device: WaitingDevice, *, allowed: bool
) -> Response:
    """What came of it."""
    return _page(
        edge,
        configuration,
        "device/answered.html",
        page_title="Device allowed" if allowed else "Device refused",
        allowed=allowed,
        client_name=device.client.name,
        resource_name=device.resource.name,
    )


def _page(
    edge: Edge,
    configuration: TenantConfiguration,
    template: str,
    *,
    status: int = 200,
    **context: object,
) -> Response:
    return edge.pages.render(
        template,
        status,
        tenant_name=configuration.tenant.name,
        static=f"{edge.base_path}/static",
        support_id=None,
        **context,
    )


def _ago(moment: datetime, now: datetime) -> str:
    minutes = int((now - moment).total_seconds() // 60)
    if minutes < 1:
        return "less than a minute ago"
    return "1 minute ago" if minutes == 1 else f"{minutes} minutes ago"
