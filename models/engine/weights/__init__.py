"""Weight files: published ones, and other people's checkpoints read without running them."""
