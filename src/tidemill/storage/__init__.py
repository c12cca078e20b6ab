"""Where bytes live: the one place that turns URIs into paths, checks them and vouches for files."""
