"""What the cluster holds: frozen views of Kubernetes objects, and the store that keeps them.

Pure: no I/O, no clock, no logging. Nothing here raises on a user's mistake.
"""
