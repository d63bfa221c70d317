"""The table behind a map: rows come from the server page by page (assets/grid.js)."""

from __future__ import annotations

import dash_ag_grid as dag

from .. import ids

THEME = (
    "themeQuartz.withParams({backgroundColor:'var(--surface)',foregroundColor:'var(--text)',headerBackgroundColor:'var(--surface-2)',"
    "headerTextColor:'var(--muted)',borderColor:'var(--line)',rowHoverColor:'var(--hover)',selectedRowBackgroundColor:'var(--accent-soft)',"
    "accentColor:'var(--accent)',fontFamily:'inherit',fontSize:12,headerFontWeight:500,rowHeight:28,headerHeight:30,"
    "wrapperBorder:false,wrapperBorderRadius:0,columnBorder:false,cellHorizontalPadding:10,oddRowBackgroundColor:'var(--surface)'})"
)


def table(evaluated: bool, has_splits: bool) -> dag.AgGrid:
    """Columns of a version's structures; errors and spreads only where an evaluation is shown."""
    columns = [
        {"field": "position", "headerName": "Row", "width": 64, "type": "rightAligned"},
        {"field": "decision", "headerName": "Mark", "cellRenderer": "Decision", "width": 62},
        {"field": "formula", "headerName": "Structure", "width": 100},
        {"field": "group", "headerName": "Group", "flex": 1, "minWidth": 90},
        {"field": "n_atoms", "headerName": "Atoms", "width": 72, "type": "rightAligned"},
        _number("energy_per_atom", "E, eV/atom", 4),
        _number("max_force", "max |F|, eV/Å", 3),
        {"field": "tags", "headerName": "Tags", "cellRenderer": "Tags", "sortable": False, "flex": 1, "minWidth": 80},
    ]
    if has_splits:
        columns.insert(4, {"field": "split", "headerName": "Split", "width": 84})
    if evaluated:
        spread = {
            "field": "force_spread",
            "headerName": "Spread, eV/Å",
            "width": 132,
            "cellRenderer": "Barred",
            "sort": "desc",
        }
        columns[-1:-1] = [_number("force_error", "Force RMSE", 3), _number("energy_error", "ΔE, eV/atom", 4)]
        columns.insert(3, spread)
    return dag.AgGrid(
        id=ids.TABLE,
        className="grid",
        style={"height": "100%", "width": "100%"},
        rowModelType="infinite",
        columnDefs=columns,
        defaultColDef={
            "resizable": True,
            "sortable": True,
            "suppressMovable": True,
            "sortingOrder": ["desc", "asc", None],
        },
        getRowId="params.data.key",
        dashGridOptions={
            "theme": {"function": THEME},
            "rowSelection": {"mode": "singleRow", "checkboxes": False, "enableClickSelection": False},
            "cacheBlockSize": 100,
            "maxBlocksInCache": 20,
            "infiniteInitialRowCount": 1,
            "suppressCellFocus": True,
            "animateRows": False,
            "context": {},
        },
    )


def _number(field: str, title: str, digits: int) -> dict:
    return {
        "field": field,
        "headerName": title,
        "width": 104,
        "type": "rightAligned",
        "valueFormatter": {"function": f"number(params.value, {digits})"},
    }
