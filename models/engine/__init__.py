"""What detectors share: configuration, runs, weights, data, training, operators, libraries."""
