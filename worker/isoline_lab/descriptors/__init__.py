"""What an atom sees: symmetry functions and densities of its environment."""
