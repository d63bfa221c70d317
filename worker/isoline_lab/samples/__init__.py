"""The two sample projects a newcomer can open: silicon, shipped, and ethanol, made on the spot."""
