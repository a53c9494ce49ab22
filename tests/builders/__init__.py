"""Datasets, runs and answers of peers that several tests build on."""
