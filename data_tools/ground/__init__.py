"""What every room stands on: errors, whole files, names, the command line, kernels."""
