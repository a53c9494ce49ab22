"""What makes a stopped training go on with the same bits: checkpoints, random state, signals."""
