"""The offline HTML report: gathered by small functions, rendered once."""
