"""The algebra of autoencoders, in torch alone: no files, no arrays, no scikit-learn."""
