"""What the scripts that train priors share."""
