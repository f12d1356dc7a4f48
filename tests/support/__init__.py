"""Parts that tests share: builders of objects, a real HAProxy in a folder, and small servers."""
