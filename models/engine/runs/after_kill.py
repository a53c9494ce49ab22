"""What a killed training left in its run folder is put right before the next one goes on."""

from __future__ import annotations

from data_tools.ground.paths import RunPaths
from data_tools.ground.whole.temporaries import sweep


def tidy(paths: RunPaths) -> None:
    """Remove temporaries without a writer and end a change of checkpoints that was cut off.

    For the holder of the run's lock; a prediction that is being written is left alone.
    """
    sweep(paths.root)
    put_next_in_place(paths)


def put_next_in_place(paths: RunPaths) -> None:
    """Make the checkpoint that is ready the last one, and keep the last one as the one before.

    It is whole if it exists at all. Killed between the two renames, the run has no last checkpoint
    until this is called again.
    """
    if not paths.next_checkpoint.is_file():
        return
    if paths.last_checkpoint.is_file():
        paths.last_checkpoint.replace(paths.previous_checkpoint)
    paths.next_checkpoint.replace(paths.last_checkpoint)
