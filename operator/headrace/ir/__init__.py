"""The values of the model: what one object contributes, and the parts it is made of.

All are frozen and compare by content, so that the difference of two states is found by identity first and equality
second. Names of servers and texts of configuration are not here: they are made from these values when needed.
"""
