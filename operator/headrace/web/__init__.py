"""The dashboard: pages about what an installation serves, made from what its agents' admin API tells. Read-only."""
