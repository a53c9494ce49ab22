"""Files and sets of files that appear whole: temporaries beside them, sets moved together."""
