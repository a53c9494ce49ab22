"""Valid files made wrong in the ways that files of other people are wrong."""
