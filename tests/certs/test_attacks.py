"""Every attack on a seal is refused, each for its own reason."""

from __future__ import annotations

import pytest

from certs.unsealing import unseal
from schemas.errors import Rejected
from tests.vectors.attacks import ATTACKS, Attack
from tests.vectors.workshop import AT, Workshop


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_an_attack_is_refused_for_its_own_reason(workshop: Workshop, attack: Attack) -> None:
    """A message forged today, with every other rule kept, is refused with the code of the rule that it breaks."""
    forged = attack.forge(workshop)
    with pytest.raises(Rejected) as refusal:
        unseal(forged, workshop.trust, AT)
    assert refusal.value.code == attack.code


def test_the_message_that_all_attacks_start_from_is_good(workshop: Workshop) -> None:
    """Nothing is refused for a reason that the attacks did not bring about."""
    assert unseal(workshop.good, workshop.trust, AT).data == workshop.good
