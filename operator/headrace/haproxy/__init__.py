"""From the model to HAProxy: words of its configuration, files, runtime commands, and `haproxy -c`."""
