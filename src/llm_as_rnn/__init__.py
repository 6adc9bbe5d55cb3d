"""A frozen language model as a recurrent predictor (arXiv 2601.13352)."""
