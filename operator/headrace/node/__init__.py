"""The node role's table of nftables: what the kernel does with connections to the addresses that are taken over."""
