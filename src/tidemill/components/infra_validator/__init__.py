"""The model is really served, and asked, before anybody relies on it."""
