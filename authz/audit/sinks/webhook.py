"""A webhook: events posted in order, signed with a shared secret as the Standard Webhooks specification says.

`webhook-signature: v1,BASE64` is HMAC-SHA-256 over `ID.TIMESTAMP.BODY`. The id names the first event and the last one's
position. A delivery that is tried again has also what came meanwhile, and then another id: whoever must not count an
event twice goes by its strand and position.
"""

import base64
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from authz.audit.formats import FORMATS, Format
from authz.audit.formats.told import Told
from authz.audit.sinks.sink import Way
from authz.settings import AuditSink


@dataclass(frozen=True)
class WebhookSink:
    """Answered 2xx is taken."""

    url: str
    secret: str
    format: Format
    way: Way

    @classmethod
    def of(cls, settings: AuditSink, way: Way) -> Self:
        """See `SINKS`."""
        assert settings.url is not None  # the settings say so  # noqa: S101
        assert settings.secret is not None  # noqa: S101
        return cls(settings.url, settings.secret, FORMATS[settings.format], way)

    def send(self, page: Sequence[Told]) -> None:
        """See `Sink`."""
        content = "".join(f"{self.format.line(it)}\n" for it in page).encode()
        name = f"{page[0].uid}-{page[-1].stored.position}"
        moment = str(int(self.way.clock().timestamp()))
        signed = f"{name}.{moment}.".encode() + content
        tag = hmac.digest(self.way.secret(self.secret), signed, "sha256")
        headers = {
            "Content-Type": self.format.media_type,
            "webhook-id": name,
            "webhook-timestamp": moment,
            "webhook-signature": f"v1,{base64.b64encode(tag).decode()}",
        }
        self.way.post(self.url, content, headers)
