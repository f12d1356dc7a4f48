"""View models: frozen values that templates lay out, made from answers of the admin API. Pure, and without secrets.

Answers come from agents that may be of another version, so what is missing in them is empty here, never an error.
"""
