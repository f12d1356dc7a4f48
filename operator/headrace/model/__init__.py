"""From objects to what HAProxy shall do: fragments, claims, verdicts.

Pure: a fragment depends on its snapshot and the class's settings alone; conflicts are settled by claims.
"""
