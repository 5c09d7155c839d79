"""Who gains and who loses what between two policies: `decide`, asked for everybody at once. Pure.

Nobody is asked one by one. Of all that somebody holds, what decides about one scope is which roles with a way to it
they hold, and roles whose ways require the same are one as far as that scope goes. So people fall into a few classes
for each scope, as bits of a number, and `decide` is asked once for each class, before and after.

Decisions:
- How people sign in is not known beforehand, so a class is asked for every sign-in that the requirements at hand tell
  apart (`spots.sign_ins_of`). Who gets a scope by some sign-in and got it by none gains it; by more of them than
  before, it became easier (`eased`), which is growth as well.
- Whoever will come with a value of a claim is a person here (`Crowd.claims`): nobody knows them yet, and what a mapping
  gives is given to them.
- A number has a bit for each person: a hundred thousand of them are twelve kilobytes, and what a role holds of them is
  one `and` away.
"""

from authz.policy.reach.comparing import Reached, compare
from authz.policy.reach.crowd import (
    Claim,
    Crowd,
    Holdings,
    Machine,
    Moment,
    claims_of,
    hold,
    mask_of,
)

__all__ = [
    "Claim",
    "Crowd",
    "Holdings",
    "Machine",
    "Moment",
    "Reached",
    "claims_of",
    "compare",
    "hold",
    "mask_of",
]
