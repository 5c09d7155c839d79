"""The only way out: every request this server makes to another machine.

Owns which addresses may be dialled, the limits every fetch obeys, and the cache of fetched
documents. Never follows a redirect, never sends a cookie, never reads proxy settings from the
environment, never believes what it fetched: the caller parses and judges.

Decisions: httpcore2 is used without httpx2 on top. Everything an httpx client would add (a second
URL parser, redirects, cookies, decompression, environment proxies) would have to be switched off
again. One connection per fetch: a pooled connection would outlive the vetting of its address.
"""

from authz.net.client import Fetched, Network, NetworkConfig
from authz.net.dial import Resolve
from authz.net.documents import Document, Documents
from authz.net.errors import NetworkError
from authz.net.guard import Profile, vet

__all__ = [
    "Document",
    "Documents",
    "Fetched",
    "Network",
    "NetworkConfig",
    "NetworkError",
    "Profile",
    "Resolve",
    "vet",
]
