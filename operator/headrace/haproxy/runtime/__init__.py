"""Running HAProxy: sockets, workers, adoption, reloads, maintenance."""
