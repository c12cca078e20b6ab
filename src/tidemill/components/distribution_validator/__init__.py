"""Distributions of two sets of examples are compared, without a schema."""
