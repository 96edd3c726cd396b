"""Classifiers on a backbone that the user has trained: transfer learning."""
