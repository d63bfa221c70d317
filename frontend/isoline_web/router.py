"""Which page answers which address.

Dash's own page registry is one for the whole process and needs a further package for layouts that do not block the
server; this is a list and one callback.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, quote, unquote

from isoline.errors import IsolineError

from .components.states import trouble_page

log = logging.getLogger("isoline.web")

Layout = Callable[..., Any]


def dataset_link(name: str, version: int | None = None) -> str:
    """The address of a dataset's page, or of one of its versions, whatever characters its name has."""
    return f"/datasets/{quote(name, safe='')}" + ("" if version is None else f"?version={version}")


@dataclass(frozen=True)
class Page:
    """An address pattern such as /map/<version>, the page's title and what builds it."""

    pattern: re.Pattern
    title: str
    layout: Layout


class Router:
    """Pages in the order they were added; the first whose pattern fits answers."""

    def __init__(self) -> None:
        self.pages: list[Page] = []

    def add(self, path: str, title: str, layout: Layout) -> None:
        """`layout` is called with the parts named in <…> and with the query, all as text; each is named once."""
        pattern = re.compile(re.sub(r"<(\w+)>", r"(?P<\1>[^/]+)", path.rstrip("/") or "") + "/?")
        self.pages.append(Page(pattern, title, layout))

    def show(self, path: str, query: str) -> tuple[Any, str]:
        """The page for an address, and its title. A failure becomes the page."""
        for page in self.pages:
            found = page.pattern.fullmatch(path)
            if found:
                named = {key: unquote(value) for key, value in found.groupdict().items()}
                asked = {key: value for key, value in parse_qsl(query.removeprefix("?")) if key.isidentifier()}
                try:
                    return page.layout(**{**asked, **named}), f"{page.title} · Isoline"
                except IsolineError as error:
                    return trouble_page(error.message, error.hint), f"{page.title} · Isoline"
                except Exception:
                    log.exception("the page for %s failed", path)
                    return trouble_page(
                        "This is a bug in Isoline", "The server's log has the traceback; please report it."
                    ), "Isoline"
        return trouble_page("There is no such page", f"Nothing answers {path}."), "Isoline"
