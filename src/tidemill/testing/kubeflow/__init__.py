"""An emulator of what Kubeflow Pipelines does with a compiled file: its driver, Argo, its launcher.

It knows nothing of tidemill's pipelines, records or runners: a file goes in, containers run. All of it
follows kubeflow/pipelines 2.17 (`backend/src/v2`) and argo-workflows 4 (`workflow/controller`), and each rule
names where it stands there. What our files never use is refused, not guessed at.
"""
