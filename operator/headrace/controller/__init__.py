"""The controller: the only one that writes to users' objects. Agents only read.

`conditions` and `addresses` are pure and decide; `writer`, `client` and `election` do.
"""
