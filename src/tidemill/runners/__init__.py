"""Runners decide when and where the launcher is called. They never decide what a call means."""
