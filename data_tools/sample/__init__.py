"""The built-in sample: procedural recycling scenes with the statistics of the real competition."""
