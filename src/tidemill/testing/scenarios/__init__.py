"""The pipelines of the runner suite: one module for each thing that a pipeline can say.

They are read as users' files are. What they do is tiny and depends on nothing but their inputs and
parameters, so that one golden lineage holds for every runner.
"""
