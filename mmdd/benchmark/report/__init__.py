"""The page of a benchmark: tables, plots and HTML."""
