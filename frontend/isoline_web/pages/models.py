"""All committees."""

from __future__ import annotations

from dash import Input, Output, dcc, html, no_update

from isoline.domain.job import ENDED
from isoline.services import accuracy, library, training, work

from .. import ids, words
from ..callbacks import Desk
from ..components.job_card import job_row
from ..components.panel import panel, quantity
from ..components.scores import MEV
from ..components.states import empty
from ..router import dataset_link
from ..shell import crumbs


def register(desk: Desk) -> None:
    bench = desk.bench

    def layout(**_):
        return html.Div(
            [
                crumbs("Models"),
                html.Header(html.H1("Models")),
                html.Div(_listing(bench), id="models-list", className="stack"),
            ],
            className="list-page",
        )

    desk.router.add("/models", "Models", layout)

    @desk.answers(Output("models-list", "children"), Input(ids.JOB_CHANGES, "data"), prevent_initial_call=True)
    def renew(changes):
        ours = any(job["kind"] in ("train", "evaluate") for job in (changes or {}).values())
        return _listing(bench) if ours else no_update


def _listing(bench) -> list:
    models = training.models(bench)
    underway = [job for job in work.jobs(bench, limit=50) if job.kind == "train" and job.state not in ENDED]
    shown = []
    if underway:
        shown.append(
            panel("In training", html.Table(html.Tbody([job_row(job) for job in underway]), className="table"))
        )
    if models:
        head = html.Thead(
            html.Tr(
                [
                    html.Th("Model"),
                    html.Th("Trained on"),
                    html.Th("Members", className="n"),
                    html.Th("Structures", className="n"),
                    html.Th(quantity("Validation E RMSE", "meV/atom"), className="n"),
                    html.Th(quantity("F RMSE", "eV/Å"), className="n"),
                    html.Th("Accuracy on"),
                    html.Th("Made"),
                ]
            )
        )
        rows = [_row(bench, model) for model in models]
        shown.append(
            panel(
                "Committees",
                html.Div(html.Table([head, html.Tbody(rows)], className="table"), className="scroll"),
                context=words.count(len(models)),
            )
        )
    elif not underway:
        shown.append(
            html.Section(
                empty(
                    "models",
                    "No model yet",
                    "Open a dataset and press Train.",
                    dcc.Link("Go to the library", href="/", className="button primary"),
                ),
                className="panel",
            )
        )
    return shown


def _row(bench, model) -> html.Tr:
    version = library.version(bench, model.version)
    summary = model.summary
    evaluated = accuracy.evaluations(bench, model=model.id)
    links = [
        dcc.Link(library.version(bench, one.version).title, href=f"/accuracy/{one.id}", className="pill")
        for one in evaluated
    ]
    return html.Tr(
        [
            html.Td(dcc.Link(model.name, href=f"/models/{model.id}"), className="name"),
            html.Td(dcc.Link(version.title, href=dataset_link(version.dataset, version.version))),
            html.Td(words.count(summary.get("members", 1)), className="n"),
            html.Td(words.count(summary.get("n_train", 0)), className="n"),
            html.Td(words.number(_mev(summary.get("validation_energy_rmse")), 2), className="n"),
            html.Td(words.number(summary.get("validation_force_rmse"), 3), className="n"),
            html.Td(html.Div(links or "–", className="row")),
            html.Td([words.ago(model.created), html.Span(f" · {model.created_by}", className="muted")]),
        ]
    )


def _mev(value: float | None) -> float | None:
    return None if value is None else value * MEV
