"""What a route asks for: the workbench, the acting person, a numpy column as an answer."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated

import numpy as np
from annotated_types import Interval
from fastapi import Depends, Request, Response

from ..domain.actor import Actor
from ..errors import NotSignedIn
from ..workbench import Workbench


def _bench(request: Request) -> Workbench:
    return request.app.state.bench


def _actor(request: Request) -> Actor:
    actor = request.scope.get("state", {}).get("actor")
    if actor is None:
        raise NotSignedIn("nobody is signed in", hint="Sign in at /login, or POST /api/session.")
    return actor


Id = Annotated[int, Interval(ge=0, le=2**31 - 1)]  # of what the store numbers, and rows of a version
Bench = Annotated[Workbench, Depends(_bench)]
Acting = Annotated[Actor, Depends(_actor)]


def binary(request: Request, *columns: np.ndarray, about: dict | None = None) -> Response:
    """Columns one after the other as little-endian bytes; header X-Columns tells dtype and shape of each.

    Answers 304 when the browser has the same bytes already.
    """
    parts = [np.ascontiguousarray(column, dtype=column.dtype.newbyteorder("<")) for column in columns]
    shapes = [{"dtype": part.dtype.str, "shape": part.shape} for part in parts]
    content = b"".join(part.tobytes() for part in parts)
    header = json.dumps({"columns": shapes, **(about or {})})
    etag = '"' + hashlib.blake2b(content + header.encode(), digest_size=12).hexdigest() + '"'
    headers = {"ETag": etag, "Cache-Control": "private, no-cache", "X-Columns": header}
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers=headers)
    return Response(content, media_type="application/octet-stream", headers=headers)
