"""The end-to-end tests of Kubernetes' Services, with every Service that they make served by headrace: see `__main__`."""
