"""From the model to the files that HAProxy starts and reloads from, by jinja2 templates."""
