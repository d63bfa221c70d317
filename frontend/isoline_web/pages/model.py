"""One committee: how it learned, from what, and how good it is where."""

from __future__ import annotations

import dash_mantine_components as dmc
from dash import Input, Output, State, dcc, html

from isoline.domain.recipe import Evaluate
from isoline.services import accuracy, library, training

from .. import ids, words
from ..callbacks import Desk, notify
from ..components.calibration import calibration_panel, register_calibration
from ..components.guest import guest_summary, is_guest
from ..components.leak_check import leak_check_panel, register_leak_check
from ..components.loss import loss_panel, register_loss
from ..components.panel import facts, panel, quantity
from ..components.recipe_form import words as field_words
from ..components.scores import MEV, by_group
from ..components.states import trouble
from ..icons import icon
from ..router import dataset_link
from ..shell import crumbs


def register(desk: Desk) -> None:
    bench = desk.bench
    register_loss(desk)
    register_calibration(desk)
    register_leak_check(desk)

    def layout(id: str, **_: str):
        model = training.model(bench, int(id) if id.isdigit() else 0)
        version = library.version(bench, model.version)
        datasets = [{"value": str(card.id), "label": card.title} for card in library.datasets(bench)]
        return html.Div(
            [
                crumbs(("Models", "/models"), model.name),
                dcc.Store(id="model", data=model.id),
                html.Header(
                    [
                        html.H1(model.name),
                        html.Div(
                            [
                                dmc.Select(
                                    id="evaluate-on",
                                    data=datasets,
                                    placeholder="Dataset",
                                    searchable=True,
                                    w=200,
                                    **{"aria-label": "Evaluate on"},
                                ),
                                html.Button(
                                    [icon("accuracy", small=True), "Evaluate"],
                                    id="evaluate",
                                    type="button",
                                    className="button primary",
                                ),
                                *(() if is_guest(model) else (_weights(model),)),
                                html.A(
                                    [icon("export", small=True), "Description"],
                                    href=f"/api/models/{model.id}/files/model.json",
                                    className="button",
                                    download=f"model-{model.id}.json",
                                ),
                            ],
                            className="row push",
                        ),
                    ]
                ),
                *(trouble(warning, warning=True) for warning in model.summary.get("warnings", [])),
                *((guest_summary(model, version),) if is_guest(model) else _learned(model, version)),
                html.Div(_accuracy(bench, model), id="model-accuracy"),
                leak_check_panel(model.id),
                calibration_panel(model=model.id),
                html.Div([_recipe(model), _provenance(bench, model, version)], className="columns"),
            ],
            className="list-page",
        )

    desk.router.add("/models/<id>", "Model", layout)

    @desk.answers(
        Output(ids.SINK, "data", allow_duplicate=True),
        Input("evaluate", "n_clicks"),
        State("evaluate-on", "value"),
        State("model", "data"),
        prevent_initial_call=True,
    )
    def evaluate(_, version, model):
        if not version:
            notify("Choose a dataset to evaluate on")
            return None
        job = training.evaluate(bench, desk.actor, Evaluate(model=model, version=int(version)))
        notify(job.title, "Its errors appear here when it is done.")
        return None

    @desk.answers(
        Output("model-accuracy", "children"),
        Input(ids.JOB_CHANGES, "data"),
        State("model", "data"),
        prevent_initial_call=True,
    )
    def renew(_, model):
        return _accuracy(bench, training.model(bench, model))


def _weights(model) -> html.A:
    return html.A(
        [icon("export", small=True), "Weights"],
        href=f"/api/models/{model.id}/files/model.safetensors",
        className="button",
        download=f"model-{model.id}.safetensors",
    )


def _learned(model, version) -> tuple:
    return _summary(model, version), loss_panel(model.job, best=model.summary.get("best_epoch"))


def _summary(model, version) -> html.Section:
    summary, used = model.summary, model.summary.get("used", {})
    energy = summary.get("validation_energy_rmse")
    labels = " · ".join(f"{words.count(n)} {kind}" for kind, n in used.items() if n) or "–"
    return panel(
        "Summary",
        facts(
            ("Validation energy RMSE", quantity(words.number(None if energy is None else energy * MEV, 2), "meV/atom")),
            ("Validation force RMSE", quantity(words.number(summary.get("validation_force_rmse"), 3), "eV/Å")),
            ("Members", words.count(summary.get("members", 1))),
            ("Parameters", words.count(summary.get("n_parameters", 0))),
            ("Trained on", dcc.Link(version.title, href=dataset_link(version.dataset, version.version))),
            (
                "Structures",
                f"{words.count(summary.get('n_train', 0))} + {words.count(summary.get('n_validation', 0))} validation",
            ),
            ("Labels used", labels),
            ("Epochs", f"{words.count(summary.get('epochs', 0))}, best {words.count(summary.get('best_epoch', 0))}"),
            className="flat four two-rows",
        ),
        context=f"trained in {words.count(round(summary.get('seconds', 0)))} s",
    )


def _accuracy(bench, model) -> list | html.Section:
    found = accuracy.evaluations(bench, model=model.id)
    if not found:
        return panel("Accuracy", html.Div("Not evaluated yet.", className="body muted"))
    panels = []
    for one in found:
        version = library.version(bench, one.version)
        seen = one.summary.get("n_seen", 0)
        note = (
            f"{words.count(seen)} of {words.count(version.n_structures)} structures were used in training or validation"
            if seen
            else "none of these structures was used in training"
        )
        panels.append(
            panel(
                f"Accuracy on {version.title}",
                by_group(accuracy.metrics(bench, one.id, "role" if seen else "overall"), "role"),
                context=note,
                controls=(
                    dcc.Link(
                        [icon("accuracy", small=True), "Parity and spread"],
                        href=f"/accuracy/{one.id}",
                        className="button small",
                    ),
                ),
            )
        )
    return html.Div(panels, className="stack")


def _recipe(model) -> html.Section:
    rows = [
        html.Tr([html.Td(field_words(name)), html.Td(_plain(value), className="n strong")])
        for name, value in model.recipe.items()
        if name not in ("kind", "version", "name", "start")
    ]
    return panel("Recipe", html.Table(html.Tbody(rows), className="table rows"))


def _provenance(bench, model, version) -> html.Section:
    parent = training.model(bench, model.parent) if model.parent else None
    rows = [
        ("Dataset", dcc.Link(version.title, href=dataset_link(version.dataset, version.version))),
        ("Content of the dataset", html.Span(version.key, className="mono")),
        ("Key of the model", html.Span(model.key, className="mono")),
        ("Started from", dcc.Link(parent.name, href=f"/models/{parent.id}") if parent else _origin(model)),
        ("Job", dcc.Link(f"#{model.job}", href=f"/jobs/{model.job}") if model.job else "–"),
        ("Made by", f"{model.created_by}, {words.ago(model.created)}"),
    ]
    return panel(
        "Provenance",
        html.Table(
            html.Tbody([html.Tr([html.Td(name), html.Td(value)]) for name, value in rows]), className="table rows"
        ),
    )


def _origin(model) -> str:
    return "elsewhere" if is_guest(model) else "random weights"


def _plain(value: object) -> str:
    return " × ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
