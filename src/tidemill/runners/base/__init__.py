"""What every runner needs around the launcher: how a run comes into being, is watched and ended."""
