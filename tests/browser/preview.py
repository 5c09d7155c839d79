"""Every page with sample contexts, as files and on a loopback port for a browser to look at.

python tests/browser/preview.py DIRECTORY              write the pages and stop
python tests/browser/preview.py DIRECTORY --port 8099  write them, serve them, print their addresses
"""

import argparse
import functools
import http.server
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import authz
from authz.web.headers import PAGE_HEADERS
from authz.web.templating import Pages

STATIC = Path(authz.__file__).parent / "web" / "static"

SCRIPT = "\"><script>alert(1)</script>'\u2028"
LONG = (
    "claude.ai.sign-in.accounts.example-workspace-directory." + "very-" * 30 + "long.evil.example"
)
RTL = "\u202egpj.gnp \u05d7\u05d1\u05e8 \u0645\u0631\u062d\u0628\u0627"
EMOJI = "\U0001f512 Official \u2705 Anthropic \U0001f469\U0001f3fd\u200d\U0001f4bb"


@dataclass(frozen=True)
class Scope:
    """What a consent template reads of a scope."""

    name: str
    description: str
    risk: str
    tools: list[str] = field(default_factory=list)
    limits: list[tuple[str, list[tuple[str, str]]]] = field(default_factory=list)
    is_new: bool = False
    already_granted: bool = False
    is_changed: bool = False


FRAME: dict[str, Any] = {
    "tenant_name": "Northwind Harbour",
    "static": "/static",
    "support_id": None,
}
SUPPORT_ID = "7F3K-Q2VD-91XA"

LOGIN: dict[str, Any] = {
    **FRAME,
    "page_title": "Sign in",
    "action": "/login",
    "continue_query": "response_type=code&client_id=https%3A%2F%2Fclaude.ai%2Foauth&state=a%26b",
    "then": "authorize",
    "needed": "",
    "login_hint": None,
    "client_host": "claude.ai",
    "client_name": "Claude",
    "client_verified": False,
    "error": None,
    "retry_after": None,
}

SCOPES = [
    Scope(
        "pages:read",
        "Read the pages you can see",
        "read",
        ["search_pages", "get_page", "list_spaces"],
        already_granted=True,
    ),
    Scope("people:read", "See names and email addresses of your colleagues", "read", ["who_is"]),
    Scope(
        "pages:write",
        "Write and edit pages in your name",
        "write",
        ["create_page", "update_page"],
        is_new=True,
    ),
    Scope("comments:write", "Comment on pages", "write"),
    Scope(
        "pages:delete",
        "Delete pages and their history",
        "destructive",
        ["delete_page", "purge_history"],
        is_new=True,
    ),
]

CONSENT: dict[str, Any] = {
    **FRAME,
    "page_title": "Allow access",
    "action": "/consent",
    "consent_id": "c_Ve1jYq8Rr0",
    "client_name": "Claude",
    "client_id": "https://claude.ai/oauth/mcp-oauth-client-metadata",
    "client_host": "claude.ai",
    "client_verified": True,
    "self_registered": False,
    "redirect_host": "claude.ai",
    "loopback_warning": False,
    "loopback_port": None,
    "logo_url": "/static/mark.svg",
    "client_uri": "https://claude.ai/",
    "policy_uri": "https://claude.ai/privacy",
    "tos_uri": "https://claude.ai/terms",
    "resource_name": "Team wiki",
    "resource_identifier": "https://wiki.northwind.example/mcp",
    "user_label": "ada@northwind.example",
    "switch_user_action": "/login/switch",
    "scopes": SCOPES,
    "settled": [],
    "removed": [("pages:admin", "Your role, Editor, does not include managing spaces.")],
    "offline": True,
}

IDENTITY = [
    Scope("email", "See your email address", "identity"),
    Scope("openid", "Recognise you each time you sign in", "identity"),
    Scope("profile", "See your name and your login name", "identity"),
]
LIMITED = Scope(
    "incidents.trigger",
    "Trigger incidents",
    "destructive",
    ["trigger_incident", "page_team"],
    [
        ("trigger_incident", [("service", "payments or search"), ("severity", "low")]),
        ("page_team", []),
    ],
)

APPROVAL: dict[str, Any] = {
    **FRAME,
    "page_title": "Not approved yet",
    "support_id": SUPPORT_ID,
    "action": "/clients/request",
    "request_id": "r_19af",
    "client_host": "notes-assistant.example",
    "client_id": "https://notes-assistant.example/.well-known/oauth-client.json",
    "client_name": "Notes assistant",
    "can_request": True,
    "already_requested": False,
}

FILED: dict[str, Any] = {
    **FRAME,
    "page_title": "Request sent",
    "client_host": APPROVAL["client_host"],
    "client_id": APPROVAL["client_id"],
}

DEVICE_ENTER: dict[str, Any] = {
    **FRAME,
    "page_title": "Connect a device",
    "action": "/device",
    "switch_user_action": "/device/switch",
    "user_label": "ada@northwind.example",
    "user_code": "",
    "error": None,
}

DEVICE_CONFIRM: dict[str, Any] = {
    **FRAME,
    "page_title": "Allow a device",
    "action": "/device/confirm",
    "switch_user_action": "/device/switch",
    "confirm_id": "c_Ve1jYq8Rr0",
    "user_code": "WDJB-MJHT",
    "client_name": "Build agent",
    "client_id": "build-agent",
    "client_proven": False,
    "resource_name": "Team wiki",
    "resource_identifier": "https://wiki.northwind.example/mcp",
    "user_label": "ada@northwind.example",
    "asked_from": "203.0.113.77",
    "is_near": False,
    "asked_ago": "2 minutes ago",
    "scopes": [
        Scope(name="pages:read", description="Read the pages you can see", risk="read"),
        Scope("pages:write", "Write and edit pages in your name", "write", ["create_page"]),
    ],
    "removed": [("pages:delete", "it is destructive, and another device never gets that")],
    "offline": True,
}

DEVICE_ANSWERED: dict[str, Any] = {
    **FRAME,
    "page_title": "Device allowed",
    "allowed": True,
    "client_name": "Build agent",
    "resource_name": "Team wiki",
}

ERROR: dict[str, Any] = {
    **FRAME,
    "page_title": "Cannot go on",
    "support_id": SUPPORT_ID,
    "heading": "The return address is not registered",
    "message": "The application asked us to send you to an address it has not registered. "
    "We stopped here, so nothing was shared.",
    "hint": "Update the application, remove this server from it and add it again. "
    "If it is yours, register the address below exactly as shown.",
    "return_url": None,
    "return_host": None,
    "again_url": None,
    "code": "invalid_request",
    "status": 400,
    "detail": [
        ("Received redirect_uri", "http://localhost:33418/callback/"),
        ("Client", "https://claude.ai/oauth/mcp-oauth-client-metadata"),
    ],
}

CHOOSE: dict[str, Any] = {
    **{name: value for name, value in LOGIN.items() if name not in ("error", "retry_after")},
    "action": "/login/start",
    "login_hint": "",
    "buttons": [("okta", "Northwind Okta")],
    "has_password": True,
}

SIGNED_OUT: dict[str, Any] = {
    **FRAME,
    "page_title": "Signed out",
    "account_url": "/t/main/account",
}

INDEX: dict[str, Any] = {
    **FRAME,
    "page_title": "Authorization server",
    "issuer": "https://auth.northwind.example/t/main",
    "metadata_url": "https://auth.northwind.example/.well-known/oauth-authorization-server/t/main",
    "jwks_url": "https://auth.northwind.example/t/main/jwks.json",
    "account_url": "/t/main/account",
}

FORTY_SCOPES = [
    Scope(
        f"area-{number}:{risk}",
        f"Do the thing with number {number} in every workspace you belong to",
        risk,
        [f"tool_{number}_{letter}" for letter in "abcdefgh"[: number % 9]],
        is_new=number % 3 == 0,
        already_granted=number % 3 == 1,
    )
    for number in range(40)
    for risk in ("read" if number < 22 else "write" if number < 34 else "destructive",)
]


def _hostile(context: dict[str, Any], hostile: str) -> dict[str, Any]:
    """The same context with `hostile` in everything a client, a person or a request may supply."""
    supplied = {
        "client_name",
        "client_id",
        "client_host",
        "redirect_host",
        "resource_name",
        "resource_identifier",
        "user_label",
        "login_hint",
        "continue_query",
        "tenant_name",
        "message",
        "issuer",
        "asked_from",
    }
    changed: dict[str, Any] = dict.fromkeys(supplied & context.keys(), hostile)
    if "detail" in context:
        changed["detail"] = [("Received redirect_uri", hostile)]
    if "removed" in context:
        changed["removed"] = [(hostile, hostile)]
        changed["scopes"] = [
            Scope(hostile, hostile, risk, [hostile], [(hostile, [(hostile, hostile)])])
            for risk in ("read", "destructive")
        ]
        changed["settled"] = [(hostile, hostile)]
    return {**context, **changed}


# Name of the sample: template and context. The first sample of a template is its plain one.
SAMPLES: dict[str, tuple[str, dict[str, Any]]] = {
    "login": ("login/login.html", LOGIN),
    "login-refused": (
        "login/login.html",
        {
            **LOGIN,
            "login_hint": "ada@northwind.example",
            "error": "User name or password is wrong.",
            "retry_after": 30,
            "support_id": SUPPORT_ID,
        },
    ),
    "login-direct": ("login/login.html", {**LOGIN, "client_host": None, "client_name": None}),
    "login-self-registered": (
        "login/login.html",
        {**LOGIN, "client_host": None, "client_name": "Cursor"},
    ),
    "choose": ("login/choose.html", CHOOSE),
    "choose-domains": ("login/choose.html", {**CHOOSE, "buttons": []}),
    "choose-self-registered": (
        "login/choose.html",
        {**CHOOSE, "client_host": None, "client_name": "Cursor"},
    ),
    "choose-again": (
        "login/choose.html",
        {
            **CHOOSE,
            "needed": '{"acr_values":["mfa"],"connections":[],"max_age":900}',
            "has_password": False,
        },
    ),
    "choose-three": (
        "login/choose.html",
        {
            **CHOOSE,
            "client_host": None,
            "client_name": None,
            "buttons": [("okta", "Okta"), ("entra", "Microsoft Entra ID"), ("school", LONG)],
        },
    ),
    "signed-out": ("login/signed_out.html", SIGNED_OUT),
    "consent": ("consent/consent.html", CONSENT),
    "consent-loopback": (
        "consent/consent.html",
        {
            **CONSENT,
            "client_verified": False,
            "client_name": "Claude Code",
            "redirect_host": "localhost",
            "loopback_warning": True,
            "loopback_port": 33418,
            "logo_url": None,
            "policy_uri": None,
            "tos_uri": None,
            "scopes": SCOPES[:2],
            "removed": [],
            "offline": False,
        },
    ),
    "consent-phishing": (
        "consent/consent.html",
        {
            **CONSENT,
            "client_verified": False,
            "client_host": LONG,
            "redirect_host": "collect.evil.example",
            "client_name": "Claude by Anthropic (Official, verified)",
        },
    ),
    "consent-registered": (
        "consent/consent.html",
        {
            **CONSENT,
            "client_host": None,
            "client_id": "reporting-desktop",
            "client_name": "Reporting desktop",
            "redirect_host": "reports.northwind.example",
            "logo_url": None,
            "client_uri": None,
            "policy_uri": None,
            "tos_uri": None,
        },
    ),
    "consent-self-registered": (
        "consent/consent.html",
        {
            **CONSENT,
            "client_host": None,
            "client_verified": False,
            "self_registered": True,
            "client_id": "dcr_Nq3xV0b6oW1cS8hTzL4m2A",
            "client_name": "Cursor",
            "redirect_host": "cursor:",
            "logo_url": None,
            "policy_uri": None,
            "tos_uri": None,
        },
    ),
    "consent-no-scope": (
        "consent/consent.html",
        {**CONSENT, "scopes": [], "removed": [], "offline": False},
    ),
    "consent-limits": (
        "consent/consent.html",
        {**CONSENT, "scopes": [SCOPES[1], LIMITED], "removed": [], "logo_url": None},
    ),
    "consent-openid": (
        "consent/consent.html",
        {**CONSENT, "scopes": [SCOPES[1], *IDENTITY], "removed": [], "logo_url": None},
    ),
    "consent-account": (
        "consent/consent.html",
        {
            **CONSENT,
            "resource_name": "Your account",
            "resource_identifier": "https://auth.northwind.example/t/main/userinfo",
            "scopes": IDENTITY,
            "removed": [],
            "offline": False,
        },
    ),
    "consent-more": (
        "consent/consent.html",
        {
            **CONSENT,
            "scopes": [Scope("pages:write", "Write and edit pages", "write", is_new=True)],
            "settled": [(scope.name, scope.description) for scope in SCOPES[:2]],
        },
    ),
    "consent-changed": (
        "consent/consent.html",
        {
            **CONSENT,
            "scopes": [
                Scope(
                    "pages:write",
                    "Write, edit and publish pages",
                    "write",
                    ["create_page", "update_page", "publish_page"],
                    already_granted=True,
                    is_changed=True,
                ),
            ],
            "settled": [(scope.name, scope.description) for scope in SCOPES[:2]],
            "removed": [],
        },
    ),
    "consent-forty": ("consent/consent.html", {**CONSENT, "scopes": FORTY_SCOPES}),
    "approval": ("consent/approval.html", APPROVAL),
    "approval-asked": ("consent/approval.html", {**APPROVAL, "already_requested": True}),
    "approval-closed": (
        "consent/approval.html",
        {**APPROVAL, "can_request": False, "client_name": None},
    ),
    "approval-filed": ("consent/approval_filed.html", FILED),
    "device": ("device/enter.html", DEVICE_ENTER),
    "device-filled": ("device/enter.html", {**DEVICE_ENTER, "user_code": "WDJB-MJHT"}),
    "device-not-good": (
        "device/enter.html",
        {
            **DEVICE_ENTER,
            "user_code": "WDJB-MJHT",
            "error": "There is no such code, or it is no longer good. Compare it with your device.",
        },
    ),
    "device-confirm": ("device/confirm.html", DEVICE_CONFIRM),
    "device-confirm-near": (
        "device/confirm.html",
        {**DEVICE_CONFIRM, "client_proven": True, "is_near": True, "removed": [], "offline": False},
    ),
    "device-confirm-nothing": (
        "device/confirm.html",
        {
            **DEVICE_CONFIRM,
            "scopes": [],
            "removed": [("pages:write", "no role of this person holds it")],
        },
    ),
    "device-allowed": ("device/answered.html", DEVICE_ANSWERED),
    "device-refused": (
        "device/answered.html",
        {**DEVICE_ANSWERED, "allowed": False, "page_title": "Device refused"},
    ),
    "error": ("error/error.html", ERROR),
    "error-bare": (
        "error/error.html",
        {**ERROR, "support_id": None, "hint": None, "detail": []},
    ),
    "error-again": (
        "error/error.html",
        {
            **ERROR,
            "page_title": "You are not signed in",
            "heading": "You are not signed in",
            "message": "Your identity provider's answer could not be accepted.",
            "hint": "Try again from the application. If it happens again, give the support id to whoever runs "
            "this service.",
            "code": "access_denied",
            "status": 403,
            "detail": [],
            "again_url": "/authorize?client_id=x",
        },
    ),
    "error-return": (
        "error/error.html",
        {
            **ERROR,
            "return_url": "https://app.example/callback?error=invalid_scope&state=x",
            "return_host": "app.example",
        },
    ),
    "index": ("index.html", INDEX),
}

HOSTILE: dict[str, tuple[str, dict[str, Any]]] = {
    f"{sample}-{kind}": (template, _hostile(context, value))
    for kind, value in {"script": SCRIPT, "long": LONG, "rtl": RTL, "emoji": EMOJI}.items()
    for sample, (template, context) in SAMPLES.items()
    if sample
    in {
        "login",
        "consent",
        "approval",
        "approval-filed",
        "device",
        "device-confirm",
        "device-allowed",
        "error",
        "index",
    }
}


class _Handler(http.server.SimpleHTTPRequestHandler):
    """Files with the headers the product sends, so that the browser enforces the policy."""

    def end_headers(self) -> None:
        for name, value in PAGE_HEADERS.items():
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing: the addresses are the output."""


def write(directory: Path) -> list[str]:
    """Write every sample below `directory` and return the file names."""
    pages = Pages()
    shutil.copytree(STATIC, directory / "static", dirs_exist_ok=True)
    names = []
    for sample, (template, context) in {**SAMPLES, **HOSTILE}.items():
        (directory / f"{sample}.html").write_bytes(bytes(pages.render(template, **context).body))
        names.append(f"{sample}.html")
    return names


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--port", type=int, help="serve on this loopback port; 0 takes a free one")
    arguments = parser.parse_args()
    arguments.directory.mkdir(parents=True, exist_ok=True)
    names = write(arguments.directory)
    if arguments.port is None:
        return
    handler = functools.partial(_Handler, directory=str(arguments.directory))
    with http.server.ThreadingHTTPServer(("127.0.0.1", arguments.port), handler) as server:
        for name in names:
            print(f"http://127.0.0.1:{server.server_port}/{name}", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
