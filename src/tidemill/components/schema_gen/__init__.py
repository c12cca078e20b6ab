"""A schema is drawn up from statistics, or taken from a file."""
