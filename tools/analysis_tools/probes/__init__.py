"""What the tools beside this folder measure of jobs, with the project's own parts."""
