"""Values: what artifacts and parameters are. No I/O, no third-party imports."""
