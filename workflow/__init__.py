"""What `make` does: which steps a rule needs, which are still to be done, and doing them."""
