"""Foreign annotations of Ingresses: ingress-nginx's and haproxy-ingress's, read as headrace's own keys.

`read` is the entry. One table for each dialect says of each key whether it is served exactly, differently or not at all;
the translation, the diagnostics, the reference and the report of a migration are made from these tables.
"""
