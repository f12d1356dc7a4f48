"""What the tests of tenants share."""

from support.fixtures import live, make_live, town  # noqa: F401
