"""Two deliveries of examples are compared, row by row."""
