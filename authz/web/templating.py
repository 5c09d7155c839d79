"""Pages for people: a template and its context become a response with the page headers.

Owns the Jinja2 environment; never builds a context and never decides what a person may see.
"""

from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse

from authz import data_dir
from authz.web.headers import PAGE_HEADERS


class Pages:
    """Render the product's templates; a directory in `template_dirs` may override any of them."""

    def __init__(self, template_dirs: Sequence[Path] = ()) -> None:
        self.environment = Environment(
            loader=FileSystemLoader([*template_dirs, data_dir("templates")]),
            autoescape=True,
            # A name left out must fail in a test, not show an empty host to the person who decides.
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    def render(self, name: str, status: int = 200, **context: object) -> HTMLResponse:
        """Render `name`, which may also name its own `status`.

        A variable the template needs and the context lacks is an error.
        """
        body = self.environment.get_template(name).render(context, status=status)
        return HTMLResponse(body, status_code=status, headers=PAGE_HEADERS)
