"""Fitting potentials to labelled structures, and measuring them."""
