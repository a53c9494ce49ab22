"""Metrics and how sure they are; used by training, fusion, submissions and experiments."""
