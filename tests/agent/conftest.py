"""What the tests of the agent share."""

from support.fixtures import live, make_live, make_sidecar, sidecar, town, without_quic  # noqa: F401
