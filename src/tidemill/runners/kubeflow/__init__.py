"""Pipelines on Kubeflow Pipelines. Nothing here needs kfp; what it compiles to is plain text."""
