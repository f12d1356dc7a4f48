"""The controller: the only one that writes to users' objects. Agents only read.

`wanted` and `addresses` are pure and decide; `writer`, `client` and `election` do.
"""
