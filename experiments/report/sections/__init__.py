"""One file per section of the report: what it shows, as plain data."""
