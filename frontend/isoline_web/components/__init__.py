"""Functions that return pieces of a page."""
