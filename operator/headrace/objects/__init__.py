"""Kubernetes objects as frozen values, and their parsing from documents that any user may have written.

Pure: a mistake in a document becomes a diagnostic.
"""
