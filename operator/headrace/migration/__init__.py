"""Migration from another controller: what becomes of its Ingresses, and how its answers differ from headrace's."""
