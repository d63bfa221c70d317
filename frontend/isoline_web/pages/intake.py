"""Bringing files in: choose, check the label contract, import."""

from __future__ import annotations

import re

import dash_mantine_components as dmc
from dash import ALL, Input, Output, State, dcc, html, no_update
from dash.exceptions import PreventUpdate

from isoline.domain.contract import Contract
from isoline.domain.job import JobState
from isoline.domain.recipe import Import
from isoline.services import intake, library, work

from .. import ids, words
from ..callbacks import Desk
from ..components.contract_form import contract_form
from ..components.job_card import made_by, progress, state
from ..components.panel import panel
from ..components.states import trouble
from ..icons import glyph, icon
from ..shell import crumbs
from .jobs import fault_table

SPLITS = (("", "as the file says"), ("train", "train"), ("validation", "validation"), ("test", "test"))


def register(desk: Desk) -> None:
    bench = desk.bench

    def layout(**_: str):
        known = [card.dataset for card in library.datasets(bench)]
        return html.Div(
            [
                crumbs(("Library", "/"), "Import"),
                html.Header(html.H1("Import")),
                dcc.Store(id="uploads", data=[]),
                dcc.Store(id="contract-now", data=None),
                dcc.Store(id="import-job"),
                _files(),
                html.Div(
                    html.Div(className="skeleton", style={"height": "180px"}),
                    id="survey-busy",
                    className="hidden",
                    role="status",
                    **{"aria-label": "Reading the files"},
                ),
                html.Div(id="contract", className="stack"),
                html.Div(_destination(known), id="destination", className="hidden"),
                html.Div(id="import-progress", className="stack"),
            ],
            className="list-page",
        )

    desk.router.add("/import", "Import", layout)

    @desk.answers(
        Output("contract", "children"),
        Output("contract-now", "data"),
        Output("destination", "className"),
        Output("import-start", "disabled"),
        Output("import-dataset", "value"),
        Input("uploads", "data"),
        Input({"contract": ALL}, "value"),
        State({"contract": ALL}, "id"),
        State("contract-now", "data"),
        State("import-dataset", "value"),
        running=[(Output("survey-busy", "className"), "", "hidden")],
        prevent_initial_call=True,
    )
    def survey(uploads, values, fields, before, dataset):
        chosen = {
            field["contract"]: value for field, value in zip(fields, values, strict=True) if value not in (None, "")
        }
        asked = {"uploads": [upload["id"] for upload in uploads], "contract": chosen}
        if not uploads:
            return [], None, "hidden", True, ""
        if before and before["uploads"] == asked["uploads"] and (before["contract"] == chosen or not chosen):
            raise PreventUpdate
        kept = chosen if before and before["uploads"] == asked["uploads"] else {}
        found = intake.survey(
            bench, [intake.upload_path(bench, upload) for upload in asked["uploads"]], Contract(**kept)
        )
        shown = {name: value for name, value in _shown(found.contract).items() if value}
        return (
            contract_form(found),
            {"uploads": asked["uploads"], "contract": shown},
            "",
            not found.accepted,
            dataset or _name_of(uploads[0]["name"]),
        )

    @desk.answers(
        Output("import-job", "data"),
        Output("import-start", "disabled", allow_duplicate=True),
        Input("import-start", "n_clicks"),
        State("contract-now", "data"),
        State("import-dataset", "value"),
        State("import-theory", "value"),
        State("import-split", "value"),
        prevent_initial_call=True,
    )
    def start(_, asked, dataset, theory, split):
        contract = Contract(**asked["contract"], level_of_theory=theory or "")
        recipe = Import(
            uploads=tuple(asked["uploads"]),
            dataset=(dataset or "").strip() or "unnamed",
            contract=contract,
            split=split or "",
        )
        return intake.start_import(bench, desk.actor, recipe).id, True

    @desk.answers(
        Output("import-progress", "children"),
        Output("uploads", "data"),
        Input("import-job", "data"),
        Input(ids.JOB_CHANGES, "data"),
        prevent_initial_call=True,
    )
    def follow(id, changes):
        if id is None:
            raise PreventUpdate
        job = work.job(bench, id)
        # The server keeps no upload that is imported, so the page is made ready for the next.
        return _progress(job), [] if job.state == JobState.DONE else no_update

    desk.runs("upload", "settle", Input("uploads", "data"))


def _shown(contract: Contract) -> dict:
    """The fields of a contract that the form shows, "none" for a label that is left out."""
    keys = {name: getattr(contract, name) or "none" for name in ("energy_key", "forces_key", "stress_key")}
    return keys | {
        name: getattr(contract, name)
        for name in ("energy_unit", "stress_unit", "length_unit", "energy_is", "stress_kind", "voigt_order")
    }


def _name_of(file: str) -> str:
    """A dataset's name from a file's: without suffixes and odd characters."""
    return re.sub(r"[^\w.-]+", "-", re.sub(r"\.(gz|xz|bz2)$", "", file).rsplit(".", 1)[0]).strip("-.")[:80] or "dataset"


def _files() -> html.Section:
    zone = html.Div(
        [
            glyph("import"),
            html.B("Drop files here"),
            html.Span(
                "Extended XYZ (also .gz, .xz), OUTCAR, vasprun.xml, CP2K, Quantum ESPRESSO, FHI-aims, ASE db or traj"
            ),
            html.Button(
                [icon("file", small=True), "Choose files"],
                type="button",
                className="button",
                **{"data-act": "choose-files"},
            ),
        ],
        id="drop-zone",
        className="empty drop",
    )
    return panel("Files", zone, html.Div(id="upload-list", className="uploads", role="status"))


def _destination(known: list[str]) -> html.Section:
    return panel(
        "Into",
        html.Div(
            [
                dmc.Autocomplete(
                    id="import-dataset", label="Dataset", description="A new name, or a dataset to extend", data=known
                ),
                dmc.TextInput(
                    id="import-theory",
                    label="Level of theory",
                    description="What computed the labels, e.g. PBE, VASP, 520 eV",
                    placeholder="as the file says",
                ),
                dmc.Select(
                    id="import-split",
                    label="Split",
                    description="Of all frames",
                    data=[{"value": key, "label": word} for key, word in SPLITS],
                    value="",
                    allowDeselect=False,
                ),
                html.Div(
                    html.Button(
                        [icon("import", small=True), "Import"],
                        id="import-start",
                        type="button",
                        className="button primary push",
                        disabled=True,
                    ),
                    className="row",
                ),
            ],
            className="form four body",
        ),
    )


def _progress(job) -> list:
    if job.error:
        return [
            trouble(job.error["message"], job.error.get("hint", "")),
            *([fault_table(job.error["details"])] if job.error.get("details") else []),
        ]
    done = str(job.state) == "done"
    result = job.result or {}
    said = job.message
    if done:
        said = f"{words.plural(result['added'], 'structure')} added to {result['dataset']} v{result['version']}" + (
            f", {words.plural(result['duplicates'], 'duplicate')} left out" if result.get("duplicates") else ""
        )
    links = [dcc.Link(word, href=href, className="button primary") for word, href in made_by(job)]
    return [
        panel(
            "Import",
            html.Div(
                [
                    progress(job),
                    html.Div(
                        [html.Span(said, **{"data-part": "message"}), html.Div(links, className="row push")],
                        className="row",
                    ),
                ],
                className="body stack",
            ),
            *(trouble(warning, warning=True) for warning in result.get("warnings", [])),
            context=state(str(job.state)),
            **{"data-job": str(job.id)},
        )
    ]
