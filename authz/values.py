"""Values: what nobody changes once it is made, at the price of any other object.

`@value(frozen=True)` is `@dataclass(frozen=True)` to the type checker, which refuses an assignment wherever it looks.
At run time it is no more than a hashable dataclass: `frozen` would store each field by a call of `object.__setattr__`,
and one token request makes some two hundred fields. For what is made for every request; elsewhere a dataclass does.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataclasses import dataclass as value
else:
    from dataclasses import dataclass

    def value(*, frozen: bool, kw_only: bool = False) -> Any:
        """A class decorator. `frozen` is for the type checker."""
        assert frozen  # noqa: S101
        return dataclass(unsafe_hash=True, kw_only=kw_only)


__all__ = ["value"]
