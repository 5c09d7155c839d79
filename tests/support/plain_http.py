"""Requests over plain HTTP.

A client of httpx2 reads the certificates of the machine before anything else, which computes longer than its request:
where a process is waited for, just when that process needs the processor, and where requests are to arrive at once.
"""

import ssl
from typing import Any

import httpx2

NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def get(url: str, **options: Any) -> httpx2.Response:
    """One GET, on a connection of its own."""
    return httpx2.get(url, trust_env=False, verify=NO_TLS, **options)


def post(url: str, **options: Any) -> httpx2.Response:
    """One POST, on a connection of its own."""
    return httpx2.post(url, trust_env=False, verify=NO_TLS, **options)
