"""HAProxy's text forms of the model: names, map entries, server lines, runtime commands. Pure."""
