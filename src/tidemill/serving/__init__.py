"""Serving: a model folder answered for over HTTP, and swapped for the next version without a lost request.

It speaks the Open Inference Protocol v2 and the row form of TensorFlow Serving, and asks the `models` room
for predictions of raw rows. It must not know pipelines, the record or users' code, and never unpickles:
whoever can write a model folder must not be able to run anything here.
"""

from __future__ import annotations
