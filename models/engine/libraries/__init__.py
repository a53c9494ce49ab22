"""The libraries that draw detectors; nothing outside imports them."""
