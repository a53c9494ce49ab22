"""`data_tools repair`: a copy of a dataset whose pictures every program reads alike."""
