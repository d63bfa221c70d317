"""Work under way and work that ended: progress, log, cancel, retry."""

from __future__ import annotations

from dash import Input, Output, State, dcc, html, no_update

from isoline.domain.job import ENDED
from isoline.services import work

from .. import ids, words
from ..callbacks import Desk
from ..components.job_card import job_actions, job_row, made_by, progress, state
from ..components.loss import loss_panel
from ..components.panel import facts, panel
from ..components.recipe_form import words as field_words
from ..components.states import empty, trouble
from ..shell import crumbs

HEAD = (
    ("", "n", 52),
    ("State", "", 104),
    ("Job", "", 0),
    ("Progress", "", 150),
    ("Now", "", 320),
    ("Queued", "", 100),
    ("Took", "n", 100),
    ("", "", 132),
)
LINES = 500


def register(desk: Desk) -> None:
    bench = desk.bench

    def listing(**_):
        return html.Div(
            [
                crumbs("Jobs"),
                html.Header(html.H1("Jobs")),
                html.Div(_lists(bench), id="jobs-list", className="stack"),
                html.Div(_workers(bench), id="workers"),
            ],
            className="list-page",
        )

    def single(id: str, **_: str):
        job = work.job(bench, int(id) if id.isdigit() else 0)
        parts = [loss_panel(job.id)] if job.kind == "train" else []
        return html.Div(
            [
                crumbs(("Jobs", "/jobs"), f"#{job.id}"),
                dcc.Store(id="job", data=job.id),
                html.Div(_summary(job), id="job-summary", className="stack"),
                *parts,
                panel("Log", html.Pre(_log(bench, job.id), id="job-log", className="log mono", tabIndex=0)),
                _recipe(job),
            ],
            className="list-page",
        )

    desk.router.add("/jobs", "Jobs", listing)
    desk.router.add("/jobs/<id>", "Job", single)

    @desk.answers(
        Output("jobs-list", "children"),
        Output("workers", "children"),
        Input(ids.JOB_CHANGES, "data"),
        prevent_initial_call=True,
    )
    def renew_list(_):
        return _lists(bench), _workers(bench)

    @desk.answers(
        Output("job-summary", "children"),
        Output("job-log", "children"),
        Input(ids.JOB_CHANGES, "data"),
        State("job", "data"),
        prevent_initial_call=True,
    )
    def renew_job(changes, id):
        if id is None or str(id) not in (changes or {}):
            return no_update, no_update
        return _summary(work.job(bench, id)), _log(bench, id)


def _lists(bench) -> list:
    jobs = work.jobs(bench, limit=200)
    if not jobs:
        return [
            html.Section(
                empty(
                    "jobs",
                    "Nothing has run yet",
                    "Imports, maps, training and evaluations appear here.",
                    dcc.Link("Go to the library", href="/", className="button primary"),
                ),
                className="panel",
            )
        ]
    groups = (
        ("Under way", [job for job in jobs if job.state not in ENDED]),
        ("Ended", [job for job in jobs if job.state in ENDED]),
    )
    head = html.Thead(
        html.Tr(
            [
                html.Th(title, className=look, style={"width": f"{width}px"} if width else None)
                for title, look, width in HEAD
            ]
        )
    )
    return [
        panel(
            title,
            html.Div(
                html.Table([head, html.Tbody([job_row(job) for job in found])], className="table jobs"),
                className="scroll",
            ),
            context=words.count(len(found)),
        )
        for title, found in groups
        if found
    ]


def _workers(bench) -> html.Section:
    alive = work.workers(bench)
    if not alive:
        return trouble(
            "No worker is running, so queued jobs wait.",
            "Start one with `isoline worker`; `isoline up` starts one by itself.",
            warning=True,
        )
    rows = [
        html.Tr(
            [
                html.Td(html.Span([html.Span(className="dot done"), "alive"], className="state")),
                html.Td(f"{card.host}", className="name"),
                html.Td(", ".join(card.queues)),
                html.Td(card.device or "cpu"),
                html.Td(f"pid {card.pid}", className="muted"),
            ]
        )
        for card in alive
    ]
    return panel("Workers", html.Table(html.Tbody(rows), className="table rows"), context=words.count(len(alive)))


def _summary(job) -> list:
    links = (
        [dcc.Link(word, href=href, className="button small primary") for word, href in made_by(job)]
        if str(job.state) == "done"
        else job_actions(job)
    )
    parts = [
        html.Header([html.H1(job.title), html.Div(links, className="row push")]),
        panel(
            "Progress",
            html.Div(
                [progress(job), html.Div(job.message, className="muted", **{"data-part": "message"})],
                className="body stack",
            ),
            facts(
                ("State", state(str(job.state))),
                ("Queued", words.ago(job.created)),
                ("Took", words.duration(job.started, job.finished) if job.finished else "–"),
                ("Attempt", f"{job.attempt}"),
                className="four",
            ),
            context=f"#{job.id} · by {job.created_by}",
            **{"data-job": str(job.id)},
        ),
    ]
    if job.error:
        parts.append(trouble(job.error["message"], job.error.get("hint", "")))
        parts += [fault_table(job.error["details"])] if job.error.get("details") else []
    return parts


def fault_table(details: list[dict]) -> html.Section:
    head = html.Thead(
        html.Tr(
            [
                html.Th("File"),
                html.Th("Frame", className="n"),
                html.Th("Atom", className="n"),
                html.Th("What"),
                html.Th("Fault"),
            ]
        )
    )
    rows = [
        html.Tr(
            [
                html.Td(one.get("file", "")),
                html.Td(_or_dash(one.get("frame")), className="n"),
                html.Td(_or_dash(one.get("atom")), className="n"),
                html.Td(one.get("field", ""), className="mono"),
                html.Td(one.get("message", "")),
            ]
        )
        for one in details
    ]
    return panel(
        "Faults",
        html.Div(
            html.Table([head, html.Tbody(rows)], className="table rows"),
            className="scroll",
            style={"maxHeight": "360px"},
        ),
        context=words.count(len(details)),
    )


def _or_dash(value: object) -> str:
    return words.DASH if value is None else str(value)


def _recipe(job) -> html.Section:
    rows = [
        html.Tr([html.Td(field_words(name)), html.Td(str(value), className="n")]) for name, value in job.recipe.items()
    ]
    return panel("Recipe", html.Table(html.Tbody(rows), className="table rows"))


def _log(bench, id: int) -> str:
    lines = work.log(bench, id)[-LINES:]
    return "\n".join(f"{line['at'][11:19]}  {line['line']}" for line in lines) or "No lines yet."
