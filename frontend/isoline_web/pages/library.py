"""All datasets, and what a first start offers."""

from __future__ import annotations

from collections import Counter

from dash import ALL, Input, Output, ctx, dcc, html, no_update

from isoline.domain.job import ENDED
from isoline.services import library, training, work

from .. import ids, words
from ..callbacks import Desk, notify
from ..components.labels import label_pills
from ..components.panel import panel
from ..components.states import empty
from ..icons import icon
from ..router import dataset_link
from ..shell import crumbs

SAMPLES = (
    ("silicon", "Silicon", "About 200 eight-atom cells, strained, rattled, hot and with vacancies, labelled with PBE."),
    ("ethanol", "Ethanol", "A molecule sampled and labelled on this computer by GFN2-xTB, in about a minute."),
)


def register(desk: Desk) -> None:
    bench = desk.bench

    def layout(**_):
        return html.Div(
            [
                crumbs("Library"),
                html.Header(
                    [
                        html.H1("Library"),
                        html.Span(className="push"),
                        dcc.Link([icon("import", small=True), "Import files"], href="/import", className="button"),
                    ]
                ),
                html.Div(_listing(bench), id="library-list", className="stack"),
            ],
            className="list-page",
        )

    desk.router.add("/", "Library", layout)

    @desk.answers(Output("library-list", "children"), Input(ids.JOB_CHANGES, "data"), prevent_initial_call=True)
    def renew(changes):
        return _listing(bench) if _matters(changes) else no_update

    @desk.answers(
        Output(ids.SINK, "data", allow_duplicate=True), Input({"sample": ALL}, "n_clicks"), prevent_initial_call=True
    )
    def make_sample(clicks):
        if not any(clicks):
            return no_update
        job = training.sample(bench, desk.actor, ctx.triggered_id["sample"])
        notify(job.title, "It appears in the library when it is ready.")
        return no_update


def _matters(changes: dict | None) -> bool:
    return any(job["kind"] in ("sample", "import", "train") for job in (changes or {}).values())


def _listing(bench) -> list:
    cards = library.datasets(bench)
    pending = [job for job in work.jobs(bench, limit=20) if job.kind in ("sample", "import") and job.state not in ENDED]
    if not cards:
        return [html.Section(_first_start(pending), className="panel")]
    models = Counter(model.version for model in training.models(bench))
    rows = [_row(card, sum(models[version.id] for version in library.versions(bench, card.dataset))) for card in cards]
    head = html.Thead(
        html.Tr(
            [
                html.Th(t, className=c)
                for t, c in (
                    ("Dataset", ""),
                    ("Version", "n"),
                    ("Structures", "n"),
                    ("Atoms", "n"),
                    ("Labels", ""),
                    ("Elements", ""),
                    ("Models", "n"),
                    ("Changed", ""),
                    ("", ""),
                )
            ]
        )
    )
    table = html.Div(html.Table([head, html.Tbody(rows)], className="table"), className="scroll")
    samples = html.Div(
        [
            html.Span("Sample projects:", className="muted"),
            *(
                _sample_button(name, title, small=True)
                for name, title, _ in SAMPLES
                if not any(card.dataset == name for card in cards)
            ),
        ],
        className="row",
    )
    return [panel("Datasets", table, context=words.count(len(cards))), *(samples,) * bool(len(samples.children) > 1)]


def _row(card, n_models: int) -> html.Tr:
    return html.Tr(
        [
            html.Td(dcc.Link(card.dataset, href=dataset_link(card.dataset)), className="name"),
            html.Td(f"v{card.version}", className="n"),
            html.Td(words.count(card.n_structures), className="n"),
            html.Td(words.count(card.n_atoms), className="n"),
            html.Td(label_pills(card)),
            html.Td(" ".join(words.symbols(card.elements))),
            html.Td(dcc.Link(words.count(n_models), href="/models") if n_models else "–", className="n"),
            html.Td([words.ago(card.created), html.Span(f" · {card.created_by}", className="muted")]),
            html.Td(
                dcc.Link([icon("map", small=True), "Map"], href=f"/map/{card.id}", className="button small"),
                className="n",
            ),
        ]
    )


def _first_start(pending: list) -> html.Div:
    cards = html.Div(
        [
            html.Div([html.B(title), html.Span(text), _sample_button(name, f"Make {title.lower()}")], className="card")
            for name, title, text in SAMPLES
        ],
        className="cards",
    )
    waiting = [
        html.Div(
            [
                html.Span(className="dot running"),
                html.Span(job.title),
                html.Span(job.message, className="muted", **{"data-part": "message"}),
            ],
            className="row",
            **{"data-job": str(job.id)},
        )
        for job in pending
    ]
    return html.Div(
        [
            empty(
                "library",
                "No datasets yet",
                "Import your own calculations, or start with a sample project: neither needs a download.",
                dcc.Link([icon("import", small=True), "Import files"], href="/import", className="button primary"),
            ),
            html.Div([*waiting, cards], className="stack", style={"alignItems": "center", "padding": "0 24px 40px"}),
        ]
    )


def _sample_button(name: str, word: str, small: bool = False) -> html.Button:
    return html.Button(word, id={"sample": name}, type="button", className=f"button{' small' if small else ''}")
