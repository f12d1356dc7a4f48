"""The agent: one process that follows a source and keeps a HAProxy true to it, and what it tells about itself."""
