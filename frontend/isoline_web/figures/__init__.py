"""Arrays in, Plotly figures out; no state, no services."""
