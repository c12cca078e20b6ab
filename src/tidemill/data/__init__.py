"""The data engine: Arrow in and out, polars kernels, mergeable and deterministic summaries.

Executors use it; definitions and the runtime never see it.
"""
