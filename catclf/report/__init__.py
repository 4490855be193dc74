"""Evaluations and models as things to look at: a page, plots, pictures of w. Computes no scores."""
