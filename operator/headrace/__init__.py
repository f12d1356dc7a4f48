"""headrace: a load balancer for Kubernetes that drives HAProxy. Holds the version and nothing else."""

__version__ = '0.1.0'
