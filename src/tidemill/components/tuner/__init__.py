"""Hyperparameters are searched: each trial is an execution of its own."""
