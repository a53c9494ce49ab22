"""Measured claims: each script prints ratios against a peer from the same run."""
