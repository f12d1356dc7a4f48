"""`make kind` where there is neither Docker nor a registry: see `__main__`."""
