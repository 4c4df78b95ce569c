"""(config, weights) ↔ a folder: whole or not there, checked as a stranger's."""
