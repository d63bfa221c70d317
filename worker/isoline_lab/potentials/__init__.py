"""Potentials learned from data, and what they predict."""
