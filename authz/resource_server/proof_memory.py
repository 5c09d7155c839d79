"""Which proofs of possession have been used, for as long as they would be accepted again.

In the memory of one process: with several, a proof that was captured works once at each, while it is young.
"""

import heapq
from dataclasses import dataclass, field

from authz.resource_server.dpop import WINDOW, Proof
from authz.resource_server.errors import InvalidProof

MAX_PROOFS = 65_536
_SWEEP_INTERVAL = 10


@dataclass
class _Used:
    """The proofs of one key, oldest first. What is not newer than `floor` may have been forgotten."""

    by_age: list[tuple[float, bytes]] = field(default_factory=list)
    digests: set[bytes] = field(default_factory=set)
    floor: float = float("-inf")

    def drop_oldest(self) -> float:
        issued_at, digest = heapq.heappop(self.by_age)
        self.digests.discard(digest)
        return issued_at


class ProofMemory:
    """Lets each proof through once, in bounded memory.

    When full, the key that takes most of it forgets its oldest proofs and from then on has to present
    newer ones: nothing is ever accepted twice, and a busy client harms nobody but itself.
    """

    def __init__(self, limit: int = MAX_PROOFS) -> None:
        self._limit = limit
        self._size = 0
        self._keys: dict[str, _Used] = {}
        self._next_sweep = float("-inf")

    def spend(self, proof: Proof, now: float) -> None:
        """Remember `proof`; raises InvalidProof if it was used before, or may have been."""
        if now >= self._next_sweep:
            self._sweep(now)
        used = self._keys.get(proof.key_thumbprint)
        if used is not None and (proof.issued_at <= used.floor or proof.digest in used.digests):
            raise InvalidProof("proof_replayed")
        if self._size >= self._limit:
            self._make_room()
        used = self._keys.setdefault(proof.key_thumbprint, _Used())
        heapq.heappush(used.by_age, (proof.issued_at, proof.digest))
        used.digests.add(proof.digest)
        self._size += 1

    def _sweep(self, now: float) -> None:
        """Forget what its age refuses."""
        self._next_sweep = now + _SWEEP_INTERVAL
        for key, used in list(self._keys.items()):
            while used.by_age and used.by_age[0][0] < now - WINDOW:
                used.drop_oldest()
                self._size -= 1
            if not used.by_age and used.floor < now - WINDOW:
                del self._keys[key]

    def _make_room(self) -> None:
        busiest = max(self._keys.values(), key=lambda used: len(used.by_age))
        # Every key has one proof at most: more keys than memory, and nobody to take from.
        if len(busiest.by_age) < 2:
            raise InvalidProof("proof_memory_full")
        # Several at once, so that the search for the busiest is paid for.
        for _ in range(max(1, len(busiest.by_age) // 8)):
            busiest.floor = busiest.drop_oldest()
            self._size -= 1
