"""Address pools: which load-balancer address each Service gets.

Pure. `pool` holds the pools of a class, `requests` what Services ask for, `allocation` the decision about one of them, and
`allocator` that of all, kept up to date change by change.
"""
