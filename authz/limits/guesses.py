"""Wrong guesses, and who has proven itself where."""

import threading

from authz.limits.bucket import MAX_KEYS, Bucket
from authz.limits.refusal import limited


class Guesses:
    """Wrong guesses at one kind of secret: of a subject (client, account, person) at an address."""

    def __init__(
        self, name: str, kind: str, *, pair: Bucket, address: Bucket, subject: Bucket
    ) -> None:
        """`name` and the `kind` of subject make the names of the budgets in logs and metrics."""
        self._names = (
            f"{name}_per_{kind}_and_address",
            f"{name}_per_address",
            f"{name}_per_{kind}",
        )
        self._pair = pair
        self._address = address
        self._subject = subject
        self._proven: dict[str, None] = {}
        self._proven_before: dict[str, None] = {}
        self._lock = threading.Lock()

    def check(self, endpoint: str, subject: str, address: str, now: float) -> None:
        """Raises TooManyRequests when no guess is left. Takes none."""
        pair = f"{address}\x00{subject}"
        if wait := self._pair.wait(pair, now):
            raise limited(endpoint, self._names[0], wait)
        if pair in self._proven or pair in self._proven_before:
            return
        if wait := self._address.wait(address, now):
            raise limited(endpoint, self._names[1], wait)
        if wait := self._subject.wait(subject, now):
            raise limited(endpoint, self._names[2], wait)

    def failed(self, subject: str, address: str, now: float) -> None:
        """Charge a wrong guess."""
        self._pair.take(f"{address}\x00{subject}", now)
        self._subject.take(subject, now)
        self._address.take(address, now)

    def failed_unnamed(self, address: str, now: float) -> None:
        """Charge a wrong guess that named nobody."""
        self._address.take(address, now)

    def spend(self, endpoint: str, subject: str, address: str, now: float) -> None:
        """Charge a guess before it is judged, for secrets short enough that many at once would count.

        Raises TooManyRequests when none is left.
        """
        with self._lock:
            self.check(endpoint, subject, address, now)
            self.failed(subject, address, now)

    def right(self, subject: str, address: str) -> None:
        """What was spent before is given back; the subject is known here from now on."""
        with self._lock:
            self._pair.forget(f"{address}\x00{subject}")
            self._subject.give_back(subject)
            self._address.give_back(address)
            self.proven(subject, address)

    def proven(self, subject: str, address: str) -> None:
        """The subject is known at this address from now on."""
        pair = f"{address}\x00{subject}"
        if pair in self._proven:
            return
        self._proven[pair] = None
        if len(self._proven) >= MAX_KEYS:
            self._proven_before, self._proven = self._proven, {}

    def __len__(self) -> int:
        kept = len(self._pair) + len(self._address) + len(self._subject)
        return kept + len(self._proven) + len(self._proven_before)
