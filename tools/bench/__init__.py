"""Measuring: a cluster of any size from a seed, and what headrace and HAProxy make of it."""
