"""From one object to one fragment: what it asks HAProxy or the kernel to serve.

Pure: no input, output, clock or log.
"""
