"""Schemas, statistics and anomalies as TensorFlow Metadata has them, in both directions (extra `tfmd`).

The only room that knows TensorFlow Metadata's messages. What one side cannot say is never dropped in
silence: every conversion returns notes, and what is ours alone travels in an annotation, so that our own
values come back whole.
"""
