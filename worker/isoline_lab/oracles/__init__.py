"""Reference calculations: from a structure to its label, or to a clear refusal."""
