"""The local runner: one machine, a process per node, as many at once as there are slots."""
