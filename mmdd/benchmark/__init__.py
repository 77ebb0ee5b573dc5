"""Many methods on one page: suites, their jobs, results and report."""
