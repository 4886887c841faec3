"""Which packages own tables, in the order in which their migrations run."""

from serai.kernel import migrate
from serai.kernel.migrate import Migration

PACKAGES = (
    "serai.kernel",
    "serai.contexts.tenancy",
    "serai.contexts.identity",
    "serai.contexts.catalog",
    "serai.contexts.inventory",
    "serai.contexts.orders",
    "serai.contexts.payments",
    "serai.contexts.shipping",
    "serai.contexts.returns",
    "serai.contexts.notifications",
    "serai.contexts.audit",
    "serai.contexts.billing",
    "serai.contexts.privacy",
)

SCHEMAS = tuple(package.rsplit(".", 1)[-1] for package in PACKAGES)
"""The schemas of these, without a home's prefix."""


def find_migrations() -> list[Migration]:
    """Every migration of the house."""
    return migrate.find_migrations(PACKAGES)
