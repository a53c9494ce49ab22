"""Checks of a submission: everything that would get it rejected or cost it points."""
