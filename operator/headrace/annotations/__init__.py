"""The contract with users: the keys under `headrace.io/`, their grammar, and their typed values.

Pure. A value that does not parse is a diagnostic; a key that protects something closes it when it does not parse.
"""
