"""Files and options that declare something, read within limits and checked as a whole."""
