"""From all fragments to the model: claims, hosts, budgets by namespace, and the incremental state.

Pure: no input, output, clock or log.
"""
