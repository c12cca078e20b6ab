"""Predictions for all rows of Examples, with bounded memory."""
