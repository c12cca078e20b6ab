"""A model is measured, compared, and blessed or not."""
