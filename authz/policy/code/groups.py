"""`groups`: the groups that are made here, by name.

    groups: [Operations, Support]

Who is in them is no policy. Groups that a company's directory provisions, and those of mappings to roles, are not in
here.
"""

from typing import Annotated

from pydantic import Field

from authz.policy.code.entries import Shape, never

SHAPE = Shape(
    list[Annotated[str, Field(min_length=1, max_length=254)]], widens=never, is_names=True
)
