"""One committee: how it learned, from what, and how good it is where."""

from __future__ import annotations

import dash_mantine_components as dmc
from dash import Input, Output, State, dcc, html

from isoline.domain.recipe import Evaluate
from isoline.services import accuracy, library, training

from .. import ids, words
from ..callbacks import Desk, notify
from ..components.calibration import calibration_panel, register_calibration
from ..components.families import FAMILIES, family, family_words, receptive_field
from ..components.guest import guest_summary, is_guest
from ..components.leak_check import leak_check_panel, register_leak_check
from ..components.loss import loss_panel, register_loss
from ..components.loss_weights import loss_weights_panel
from ..components.model_facts import (
    cost_conditions,
    cost_words,
    dimer_warning,
    dimer_words,
    recipe_panel,
    warm_panel,
)
from ..components.panel import facts, panel, quantity
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
                dimer_warning(model),
                *((guest_summary(model, version),) if is_guest(model) else _learned(model, version)),
                html.Div(_accuracy(bench, model), id="model-accuracy"),
                leak_check_panel(model.id),
                calibration_panel(model=model.id),
                html.Div([recipe_panel(model), _provenance(bench, model, version)], className="made"),
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
    curves = loss_panel(model.job, best=model.summary.get("best_epoch")) if model.job else None
    beside = [one for one in (loss_weights_panel(model), warm_panel(model)) if one is not None]
    return _summary(model, version), curves, html.Div(beside, className="columns") if beside else None


def _summary(model, version) -> html.Section:
    summary, used = model.summary, model.summary.get("used", {})
    labels = " · ".join(f"{words.count(n)} {kind}" for kind, n in used.items() if n) or words.DASH
    reach, conditions = summary.get("receptive_field", receptive_field(model.recipe)), cost_conditions(model)
    energy, seconds = summary.get("validation_energy_rmse"), summary.get("seconds")
    context = [f"trained in {words.number(seconds, 0 if seconds >= 10 else 1)} s"] if seconds is not None else []
    context += [f"time per step of {conditions}"] if conditions else []
    return panel(
        "Summary",
        facts(
            ("Validation energy RMSE", _measured(None if energy is None else energy * MEV, 2, "meV/atom")),
            ("Validation force RMSE", _measured(summary.get("validation_force_rmse"), 3, "eV/Å")),
            ("Time per atom and step", html.Span(quantity(*cost_words(model)), title=conditions)),
            ("Isolated pairs at short distance", html.Span(dimer_words(model), title=dimer_words(model))),
            ("Family", html.Span(family_words(model), title=FAMILIES.get(family(model), ("", ""))[1])),
            ("An atom feels others up to", _measured(reach, 1, "Å")),
            ("Members", words.count(summary.get("members", 1))),
            ("Parameters", words.count(summary["n_parameters"]) if "n_parameters" in summary else words.DASH),
            ("Trained on", dcc.Link(version.title, href=dataset_link(version.dataset, version.version))),
            (
                "Structures",
                f"{words.count(summary.get('n_train', 0))} + {words.count(summary.get('n_validation', 0))} validation",
            ),
            ("Labels used", html.Span(labels, title=labels)),
            ("Epochs", _epochs(summary)),
            className="flat four three-rows",
        ),
        context=" · ".join(context),
    )


def _measured(value: float | None, digits: int, unit: str) -> list:
    """A figure with its unit; a dash alone where there is none."""
    return quantity(words.number(value, digits), "" if value is None else unit)


def _epochs(summary: dict) -> str:
    if "epochs" not in summary:
        return words.DASH
    best = f", best {words.count(summary['best_epoch'])}" if summary.get("best_epoch") else ""
    return f"{words.count(summary['epochs'])}{best}"


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
