"""The training loop and its parts; see models/README.md for why mmengine's Runner is not used."""
