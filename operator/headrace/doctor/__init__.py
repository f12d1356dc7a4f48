"""What a host outside of the cluster lacks to run an agent: `headrace doctor`."""
