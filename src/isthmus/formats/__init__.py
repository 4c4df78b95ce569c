"""A person's rows ↔ what a model computes with: arrays, tables, sequences, modalities, conditions."""
