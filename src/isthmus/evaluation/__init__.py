"""What a model is worth: one measure a file."""
