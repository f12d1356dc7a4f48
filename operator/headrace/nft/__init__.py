"""The node role's table of nftables: its rules, and keeping the kernel's copy in sync."""
