"""The API server as a source: what is watched there, and an agent's own few calls.

`reflector` is pure; all others do input and output. kopf is imported by `watch` alone.
"""
