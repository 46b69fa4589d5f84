"""Every attack on a seal is refused, each for its own reason."""

from __future__ import annotations

import json
import re
from datetime import datetime
from pathlib import Path

import pytest

from certs.errors import SealRejected
from certs.keys import read_certificates
from certs.trust import SignerBinding, Trust, TrustAnchor
from certs.unsealing import unseal
from schemas.codes import AgencyCode
from schemas.directory import EntryStatus
from schemas.errors import Rejected
from tests.vectors import make_seals
from tests.vectors.attacks import ATTACKS, Attack
from tests.vectors.workshop import AT, Workshop


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_an_attack_is_refused_for_its_own_reason(workshop: Workshop, attack: Attack) -> None:
    """A message forged today, with every other rule kept, is refused with the code of the rule that it breaks."""
    forged = attack.forge(workshop)
    with pytest.raises(Rejected) as refusal:
        unseal(forged, workshop.trust, AT)
    assert refusal.value.code == attack.code
    assert refusal.value.mend


def test_the_message_that_all_attacks_start_from_is_good(workshop: Workshop) -> None:
    """Nothing is refused for a reason that the attacks did not bring about."""
    assert unseal(workshop.good, workshop.trust, AT).data == workshop.good


def test_the_corpus_stands_for_itself(workshop: Workshop, tmp_path: Path) -> None:
    """From the files alone another implementation can tell which message is refused, when, and why."""
    make_seals.write_corpus(tmp_path, workshop)
    index = json.loads((tmp_path / make_seals.INDEX).read_text(encoding="utf-8"))
    bindings = {
        AgencyCode(agency["code"]): SignerBinding(
            AgencyCode(agency["code"]), EntryStatus(agency["status"]), frozenset(agency["fingerprints"])
        )
        for agency in index["agencies"]
    }
    anchors = tuple(
        TrustAnchor(read_certificates(tmp_path / anchor["file"])[0], tuple(anchor["prefixes"]))
        for anchor in index["anchors"]
    )
    trust, at = Trust(anchors, bindings.get), datetime.fromisoformat(index["judged_at"])
    answers = {}
    for file in tmp_path.glob("*.edxml"):
        try:
            unseal(file.read_bytes(), trust, at)
        except Rejected as refusal:
            answers[file.name] = refusal.code
    assert answers == {attack["file"]: attack["code"] for attack in index["attacks"]}


def test_every_code_of_a_refused_seal_has_its_attack() -> None:
    """The list of codes that integrators read is whole, and something in the corpus brings about each of them."""
    documented = set(re.findall(r"^    `([a-z-]+)`", SealRejected.__doc__ or "", re.MULTILINE))
    brought_about = {attack.code for attack in ATTACKS}
    # Retirement is tested in test_unsealing; the parser's own codes are those of any message.
    assert documented - brought_about == {"agency-retired"}
    assert {code for code in brought_about if code.startswith(("seal-", "agency-", "signer-", "anchor-"))} < documented


def test_the_table_of_attacks_is_that_of_the_corpus() -> None:
    """ATTACKS.md, which people read, lists just the attacks that are made."""
    assert (Path(make_seals.__file__).parent / "ATTACKS.md").read_text(encoding="utf-8") == make_seals.table()
