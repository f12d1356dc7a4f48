"""The conformance tests of the Gateway API against headrace as its chart deploys it: see `__main__`."""
