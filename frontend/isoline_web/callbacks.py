"""The one way a page answers the browser: off the event loop, as the signed-in person, failures as notices."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Callable

from dash import ClientsideFunction, Dash, Input, Output, ctx, no_update, set_props
from dash.exceptions import PreventUpdate

from isoline.api.session import CURRENT_ACTOR
from isoline.domain.actor import Actor
from isoline.errors import IsolineError
from isoline.workbench import Workbench

from . import ids
from .router import Router

log = logging.getLogger("isoline.web")


class Desk:
    """Where pages hang their callbacks, with the workbench they ask."""

    def __init__(self, app: Dash, bench: Workbench):
        self.app = app
        self.bench = bench
        self.router = Router()

    @property
    def actor(self) -> Actor:
        """Who is acting in the callback that runs now."""
        return CURRENT_ACTOR.get()

    def answers(self, *signature, **options) -> Callable:
        """Register a blocking function as an asynchronous callback.

        It runs in a thread, so a slow service never holds up the server; the thread inherits the acting person.
        An IsolineError becomes a notice and leaves the page as it was; anything else is a bug, logged and said.
        Where every input is a button, nothing runs until one is pressed: Dash also calls when a button appears.
        """
        buttons = [part for part in signature if isinstance(part, Input)]
        pressed_only = bool(buttons) and all(part.component_property == "n_clicks" for part in buttons)

        def register(function: Callable) -> Callable:
            @functools.wraps(function)
            async def callback(*values):
                if pressed_only and not any(trigger["value"] for trigger in ctx.triggered):
                    raise PreventUpdate
                return await in_thread(function, *values)

            self.app.callback(*signature, **options)(callback)
            return function

        return register

    def runs(self, namespace: str, function: str, *signature) -> None:
        """Call a function of our JavaScript for what it does, when the page appears and whenever an input changes."""
        self.app.clientside_callback(
            ClientsideFunction(namespace, function),
            Output(ids.SINK, "data", allow_duplicate=True),
            *signature,
            prevent_initial_call="initial_duplicate",
        )


async def in_thread(function: Callable, *values):
    """What `function` gives, run off the event loop; nothing to update after having shown what went wrong.

    Dash drops a notice together with the answer when a callback prevents its update, so a failure must answer.
    """
    try:
        return await asyncio.to_thread(function, *values)
    except PreventUpdate:
        raise
    except IsolineError as error:
        notify(error.message, error.hint, colour="red")
    except Exception:
        log.exception("a callback failed")
        notify("This is a bug in Isoline", "The server's log has the traceback; please report it.", colour="red")
    return no_update


def notify(title: str, message: str = "", *, colour: str = "accent") -> None:
    """A notice in the corner; failures stay until closed."""
    notice = {
        "action": "show",
        "title": title,
        "message": message,
        "color": colour,
        "autoClose": False if colour == "red" else 6000,
        "withBorder": True,
        "closeButtonProps": {"aria-label": "Close this notice"},
    }
    set_props("notices", {"sendNotifications": [notice]})
