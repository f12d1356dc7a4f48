"""The class's settings: one YAML file, typed and judged whole, with a JSON schema."""
