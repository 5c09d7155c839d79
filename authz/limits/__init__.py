"""Budgets: how often something may happen, by address, client, person and for all together.

Owns the counting, and which budgets each kind of work has. Never reads a request and never answers one: the edges say
who asks, and a budget that is used up is a `TooManyRequests`.

Decisions:
- In memory and per process: a shared counter would be a row that a stranger can write. With several processes a crowd
  gets that many times the budget, which every default allows for.
- Wrong guesses spend, right ones do not (O21-14). A failure is charged to the client at that address, to the address,
  and to the client. An address from which the client has proven itself before is held to the first of the three
  alone, so who knows a `client_id` can lock its owner out of no place where it already works.
- What every client does all day is counted by address before it names itself, and by client only once it has
  authenticated: a budget that a name alone could spend would be a way to use up somebody else's.
- There is no global budget for wrong guesses: using it up would shut the door for everybody.
- Time is measured by a clock that nobody sets: after a step back of ten minutes every budget would have been used up
  for as long.
- Keys are bounded twice: at most `2 * MAX_KEYS` per budget, and a long name is kept by its digest.
"""

from authz.limits.attempt import Attempt, short
from authz.limits.bucket import MAX_KEYS, Bucket
from authz.limits.guesses import Guesses
from authz.limits.limits import Limits

__all__ = ["MAX_KEYS", "Attempt", "Bucket", "Guesses", "Limits", "short"]
