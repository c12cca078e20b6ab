"""What users write: components, pipelines, placeholders, schedules. Only `compile` knows the IR."""
