"""A dialog of the kit, named for everybody."""

from __future__ import annotations

import dash_mantine_components as dmc


def dialog(id: str, title: str, *children, size: str = "md") -> dmc.Modal:
    """Opened and closed by its property `opened`."""
    return dmc.Modal(list(children), id=id, title=title, size=size, closeButtonProps={"aria-label": "Close"})
