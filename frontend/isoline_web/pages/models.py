"""All models: committees trained here, and guests."""

from __future__ import annotations

from dash import Input, Output, dcc, html, no_update

from isoline.domain.job import ENDED
from isoline.services import accuracy, library, training, work

from .. import ids, words
from ..callbacks import Desk
from ..components.families import FAMILIES, family, family_words
from ..components.guest import is_guest
from ..components.job_card import job_row
from ..components.model_facts import cost_conditions, cost_words
from ..components.panel import panel, quantity
from ..components.scores import MEV
from ..components.states import empty
from ..router import dataset_link
from ..shell import crumbs
from .guest_dialog import guest_button, guest_dialog
from .guest_dialog import register as register_guest_dialog

KINDS = ("train", "adopt", "evaluate")
COST = "Time for energies and forces of all members, per atom and step of dynamics"


def register(desk: Desk) -> None:
    bench = desk.bench
    register_guest_dialog(desk)

    def layout(**_):
        return html.Div(
            [
                crumbs("Models"),
                html.Header([html.H1("Models"), html.Div(guest_button(), className="row push")]),
                html.Div(_listing(bench), id="models-list", className="stack"),
                guest_dialog(),
            ],
            className="list-page",
        )

    desk.router.add("/models", "Models", layout)

    @desk.answers(Output("models-list", "children"), Input(ids.JOB_CHANGES, "data"), prevent_initial_call=True)
    def renew(changes):
        ours = any(job["kind"] in KINDS for job in (changes or {}).values())
        return _listing(bench) if ours else no_update


def _listing(bench) -> list:
    every = training.models(bench)
    visiting = [model for model in every if is_guest(model)]
    models = [model for model in every if not is_guest(model)]
    underway = [job for job in work.jobs(bench, limit=50) if job.kind in ("train", "adopt") and job.state not in ENDED]
    shown = []
    if underway:
        shown.append(panel("Under way", html.Table(html.Tbody([job_row(job) for job in underway]), className="table")))
    if models:
        head = html.Thead(
            html.Tr(
                [
                    html.Th("Model"),
                    html.Th("Family"),
                    html.Th("Trained on"),
                    html.Th("Members", className="n"),
                    html.Th("Structures", className="n"),
                    html.Th(quantity("Validation E", "meV/atom"), className="n", title="Root mean square error"),
                    html.Th(quantity("F", "eV/Å"), className="n", title="Root mean square error in validation"),
                    html.Th(quantity("Atom and step", "µs"), className="n", title=COST),
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
    elif not (underway or visiting):
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
    if visiting:
        shown.append(_guests(bench, visiting))
    return shown


def _guests(bench, models) -> html.Section:
    head = html.Thead(
        html.Tr(
            [
                html.Th("Guest"),
                html.Th("What it is"),
                html.Th("Energies fitted on"),
                html.Th(quantity("E RMSE as it is", "meV/atom"), className="n"),
                html.Th(quantity("fitted", "meV/atom"), className="n"),
                html.Th(quantity("F RMSE", "eV/Å"), className="n"),
                html.Th(quantity("Atom and step", "µs"), className="n", title=COST),
                html.Th("Accuracy on"),
                html.Th("Made"),
            ]
        )
    )
    rows = [_guest_row(bench, model) for model in models]
    return panel(
        "Guests",
        html.Div(html.Table([head, html.Tbody(rows)], className="table"), className="scroll"),
        context=words.count(len(models)),
    )


def _guest_row(bench, model) -> html.Tr:
    version = library.version(bench, model.version)
    summary = model.summary
    fitted = _mev(summary.get("energy_rmse")) if summary.get("n_train") else None
    return html.Tr(
        [
            html.Td(dcc.Link(model.name, href=f"/models/{model.id}"), className="name"),
            html.Td([html.Div(summary.get("what", "")), html.Div(summary.get("licence", ""), className="muted")]),
            html.Td(dcc.Link(version.title, href=dataset_link(version.dataset, version.version))),
            html.Td(words.number(_mev(summary.get("energy_rmse_unshifted")), 1), className="n"),
            html.Td(words.number(fitted, 1), className="n"),
            html.Td(words.number(summary.get("force_rmse"), 3), className="n"),
            html.Td(cost_words(model)[0], className="n", title=cost_conditions(model)),
            html.Td(_evaluated(bench, model)),
            html.Td([words.ago(model.created), html.Span(f" · {model.created_by}", className="muted")]),
        ]
    )


def _evaluated(bench, model) -> html.Div:
    """Links to the accuracy on every dataset it was evaluated on."""
    links = [
        dcc.Link(library.version(bench, one.version).title, href=f"/accuracy/{one.id}", className="pill")
        for one in accuracy.evaluations(bench, model=model.id)
    ]
    return html.Div(links or "–", className="row")


def _row(bench, model) -> html.Tr:
    version = library.version(bench, model.version)
    summary = model.summary
    return html.Tr(
        [
            html.Td(dcc.Link(model.name, href=f"/models/{model.id}"), className="name"),
            html.Td(family_words(model), className="family-name", title=FAMILIES.get(family(model), ("", ""))[1]),
            html.Td(dcc.Link(version.title, href=dataset_link(version.dataset, version.version))),
            html.Td(words.count(summary.get("members", 1)), className="n"),
            html.Td(words.count(summary.get("n_train", 0)), className="n"),
            html.Td(words.number(_mev(summary.get("validation_energy_rmse")), 2), className="n"),
            html.Td(words.number(summary.get("validation_force_rmse"), 3), className="n"),
            html.Td(cost_words(model)[0], className="n", title=cost_conditions(model)),
            html.Td(_evaluated(bench, model)),
            html.Td([words.ago(model.created), html.Span(f" · {model.created_by}", className="muted")]),
        ]
    )


def _mev(value: float | None) -> float | None:
    return None if value is None else value * MEV
