"""Which labels a dataset has, and how complete they are."""

from __future__ import annotations

from dash import html

from .. import words


def label_pills(card) -> html.Div:
    """One pill a kind of label: full, partial or none, in words and in shape."""
    kinds = (("energy", card.n_energy), ("forces", card.n_forces), ("stress", card.n_stress))
    return html.Div([_pill(kind, n, card.n_structures) for kind, n in kinds], className="row")


def _pill(kind: str, n: int, total: int) -> html.Span:
    if n == 0:
        return html.Span(kind, className="pill none", title=f"no {kind}")
    if n == total:
        return html.Span(kind, className="pill full", title=f"{kind} of every structure")
    return html.Span(
        f"{kind} {words.count(n)}",
        className="pill",
        title=f"{kind} of {words.count(n)} of {words.count(total)} structures",
    )


def counts_table(title: str, counts: dict[str, int], none: str) -> html.Table:
    """Names with how many structures have each, largest first."""
    total = max(1, sum(counts.values()))
    rows = [
        html.Tr(
            [
                html.Td(name or none, className="" if name else "muted"),
                html.Td(words.count(n), className="n"),
                html.Td(
                    html.Div(html.Span(style={"width": f"{100 * n / total:.1f}%"}), className="progress"),
                    style={"width": "40%"},
                ),
            ]
        )
        for name, n in sorted(counts.items(), key=lambda item: -item[1])
    ]
    head = html.Thead(html.Tr([html.Th(title), html.Th("Structures", className="n"), html.Th("Share")]))
    return html.Table([head, html.Tbody(rows)], className="table rows")
