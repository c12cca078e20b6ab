"""Examples are held against the schema and against earlier examples."""
