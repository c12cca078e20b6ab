"""The semantic core: what it means to run one node, the same on every runner."""
