"""The list of all attacks, and the place for those on features that are still to come.

Vouchers (spend one more often than it may be, stack what excludes each other, use one while it is
withdrawn) and gift cards (spend one balance twice, spend it while it is topped up or voided) are
tried from the day that Serai has them: a file of their own, and a line here.
"""

from typing import Final

from serai.cli.prove.attacks import cart, inventory, payment, scope, tenancy, undoing
from serai.cli.prove.attacks.attack import Attack

ATTACKS: Final[tuple[Attack, ...]] = (
    *inventory.ATTACKS,
    *cart.ATTACKS,
    *payment.ATTACKS,
    *undoing.ATTACKS,
    *scope.ATTACKS,
    *tenancy.ATTACKS,
)
