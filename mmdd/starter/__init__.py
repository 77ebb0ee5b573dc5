"""From a folder of data to a job that runs."""
