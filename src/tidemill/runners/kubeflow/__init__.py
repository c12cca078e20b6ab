"""The Kubeflow runner: pipelines on Kubeflow Pipelines 2 and Kubernetes."""
