"""A job's state as a shape and a word, and its row in a list."""

from __future__ import annotations

from dash import dcc, html

from isoline.domain.job import ENDED, Job, JobState

from .. import words
from ..icons import icon
from ..router import dataset_link

WORDS = {"queued": "queued", "running": "running", "done": "done", "failed": "failed", "cancelled": "cancelled"}


def state(name: str) -> html.Span:
    return html.Span(
        [html.Span(className=f"dot {name}", **{"aria-hidden": "true"}), WORDS.get(name, name)], className="state"
    )


def progress(job: Job) -> html.Div:
    share = 1.0 if job.state == JobState.DONE else job.progress
    look = {"done": "done", "failed": "failed"}.get(str(job.state), "")
    return html.Div(
        html.Span(style={"width": f"{100 * share:.1f}%"}),
        className=f"progress {look}",
        role="progressbar",
        **{
            "aria-valuenow": f"{100 * share:.0f}",
            "aria-valuemin": "0",
            "aria-valuemax": "100",
            "aria-label": f"{job.title}: progress",
        },
    )


def job_row(job: Job) -> html.Tr:
    """One line of the jobs list, with what can be done about it."""
    message = job.error["message"] if job.error else job.message
    return html.Tr(
        [
            html.Td(f"{job.id}", className="n muted"),
            html.Td(state(str(job.state))),
            html.Td(dcc.Link(job.title, href=f"/jobs/{job.id}"), className="name"),
            html.Td(progress(job), className="bar-cell"),
            html.Td(html.Div(message, className="clamp", title=message, **{"data-part": "message"}), className="muted"),
            html.Td(words.ago(job.created), className="muted"),
            html.Td(words.duration(job.started, job.finished), className="n"),
            html.Td(html.Div(job_actions(job), className="row"), className="n"),
        ],
        **{"data-job": str(job.id)},
    )


def job_actions(job: Job) -> list:
    """Cancel while it is under way, try again when it did not end well, open what it made."""
    if job.state not in ENDED:
        return [_button("cancel-job", job.id, "cross", "Cancel")]
    if job.state in (JobState.FAILED, JobState.CANCELLED):
        return [_button("retry-job", job.id, "retrain", "Retry")]
    return [dcc.Link(word, href=href, className="button small") for word, href in made_by(job)]


def made_by(job: Job) -> list[tuple[str, str]]:
    """Where the results of a job that is done can be seen."""
    result = job.result or {}
    if job.kind in ("train", "adopt") and result.get("model"):
        return [("Open model", f"/models/{result['model']}")]
    if job.kind == "evaluate" and result.get("evaluation"):
        return [("Open accuracy", f"/accuracy/{result['evaluation']}")]
    if job.kind == "describe":
        return [("Open map", f"/map/{job.recipe['version']}")]
    if result.get("dataset"):
        return [("Open dataset", dataset_link(result["dataset"]))]
    return []


def _button(act: str, job: int, name: str, word: str) -> html.Button:
    return html.Button(
        [icon(name, small=True), word],
        type="button",
        className="button small",
        **{"data-act": act, "data-value": str(job)},
    )
