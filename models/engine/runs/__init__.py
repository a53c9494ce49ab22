"""Run folders: what a run was told, what it is doing, what came out."""
