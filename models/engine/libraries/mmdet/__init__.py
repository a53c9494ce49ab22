"""Detectors of mmdet: built, fed, trained, with faster parts in place of some of its own."""
