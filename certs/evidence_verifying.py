"""Judging an evidence container offline: nothing is asked but the file, and the authority that the verifier names.

What is believed, and why: the hub's authority, because the verifier names it; the hub's receipts and the directory,
because keys under that authority signed them; the seal and the agencies' receipts, because the directory names their
keys. Each is judged at the time it speaks of.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path

from cryptography import x509

from certs.errors import EvidenceRejected
from certs.evidence_directory import agency_names, certificates_named, is_complete
from certs.evidence_format import FileKind, ListedFile, names_of
from certs.evidence_reading import EvidenceFiles, open_evidence
from certs.evidence_report import EvidenceReport, Finding, Findings
from certs.evidence_testimony import Testimony, acceptance_in, attested_refusal
from certs.evidence_writing import certificates_in
from certs.historic_trust import HistoricTrust
from certs.keys import fingerprint, parse_certificates
from certs.signed_directory import VerifiedVersion, verify_single_version
from certs.verified import Verified
from schemas.envelope import Envelope, Sha256Hex
from schemas.errors import Rejected
from schemas.receipts import Receipt, ReceiptEvent, SignedReceipt


@dataclass(frozen=True, slots=True)
class NamedAuthority:
    """Whom the verifier believes: certificates, or the SHA-256 of one that the container then has to bring."""

    certificates: tuple[x509.Certificate, ...] = ()
    fingerprint: Sha256Hex | None = None


def verify_evidence(path: Path, named: NamedAuthority | None) -> EvidenceReport:
    """What the container at `path` proves to somebody who believes `named`.

    With None its parts are only held against each other, under the authority that it brings along itself: anybody can
    make such a container.

    Raises:
        EvidenceRejected: it is no container, or the authority named by fingerprint is not in it (`evidence-authority`).
        MalformedMessage: its manifest is none.
    """
    with open_evidence(path) as files:
        return _Judgement(files, named).report()


@dataclass(slots=True)
class _Judgement:
    files: EvidenceFiles
    named: NamedAuthority | None
    findings: Findings = field(default_factory=Findings)
    contents: dict[str, bytes] = field(default_factory=dict)

    def report(self) -> EvidenceReport:
        # 1. The files are those that the manifest lists, unchanged.
        self._take_files()
        # 2. Whom to believe.
        anchors = self._anchors()
        # 3. The directory, under the hub's authority.
        versions = self._directory(anchors)
        trust = HistoricTrust(anchors)
        for version in versions:
            trust.put(version)
        manifest = self.files.manifest
        names = agency_names(one.version for one in versions)
        testimony = Testimony(manifest.message_id, manifest.gathered_at, trust, names)
        # 4. Receipts, the hub's acceptance first: it says from whom, when and under which version the message entered.
        receipts = self._receipts(testimony)
        # 5. The seal, at the time of the acceptance.
        envelope = self._envelope(testimony, receipts)
        # 6. Attachments, by their names in the envelope; certificates, by what they are shown for.
        self._attachments(envelope)
        self._certificates(anchors, versions)
        return EvidenceReport(
            message_id=manifest.message_id,
            gathered_by=manifest.gathered_by,
            gathered_at=manifest.gathered_at,
            dropped_at=manifest.dropped_at,
            has_envelope=bool(self._listed(FileKind.ENVELOPE)),
            authorities=tuple(fingerprint(anchor) for anchor in anchors),
            is_anchored=self.named is not None,
            directory_complete=is_complete(versions),
            findings=tuple(self.findings.made),
        )

    def _listed(self, kind: FileKind) -> list[ListedFile]:
        return names_of(self.files.manifest.files, kind)

    def _here(self, kind: FileKind) -> list[tuple[ListedFile, bytes]]:
        """The files of a kind that are not missing, with their bytes."""
        return [(file, self.contents[file.name]) for file in self._listed(kind) if file.name in self.contents]

    def _take_files(self) -> None:
        for file in self.files.manifest.files:
            if file.kind is FileKind.ATTACHMENT:
                digest = self.files.digest(file)
            elif (content := self.files.content(file)) is not None:
                self.contents[file.name] = content
                digest = hashlib.sha256(content).hexdigest()
            else:
                digest = None
            if digest is None:
                fault = EvidenceRejected("evidence-missing", "The manifest lists it, and it is gone.")
                self.findings.refuse(file.name, file.kind, fault)
            elif digest != file.sha256:
                fault = EvidenceRejected("evidence-changed", "Its bytes are not those that the manifest lists.")
                self.findings.refuse(file.name, file.kind, fault)
        for name in self.files.unlisted:
            fault = EvidenceRejected("evidence-unlisted", "The manifest does not list it.")
            self.findings.refuse(name, "file", fault)

    def _anchors(self) -> tuple[x509.Certificate, ...]:
        brought: list[x509.Certificate] = []
        for file, content in self._here(FileKind.AUTHORITY):
            brought.extend(self.findings.tried(file.name, file.kind, partial(parse_certificates, content)) or ())
        if self.named is None:
            return tuple(brought)
        if self.named.fingerprint is None:
            self._require_same_authority(brought, self.named.certificates)
            return self.named.certificates
        chosen = tuple(one for one in brought if fingerprint(one) == self.named.fingerprint)
        if not chosen:
            raise EvidenceRejected(
                "evidence-authority",
                f"The file brings no authority with the fingerprint {self.named.fingerprint}.",
                mend="Give the hub's authority as a PEM file, or check the fingerprint.",
            )
        return chosen

    def _require_same_authority(self, brought: Sequence[x509.Certificate], named: Sequence[x509.Certificate]) -> None:
        if brought and not set(brought) & set(named):
            fault = EvidenceRejected("evidence-authority", "It is another authority than the one that you named.")
            self.findings.refuse(self._listed(FileKind.AUTHORITY)[0].name, FileKind.AUTHORITY, fault)

    def _directory(self, anchors: Sequence[x509.Certificate]) -> list[VerifiedVersion]:
        verified: dict[int, tuple[str, VerifiedVersion]] = {}
        for file, content in self._here(FileKind.DIRECTORY):
            found = self.findings.tried(file.name, file.kind, partial(verify_single_version, content, anchors))
            if found is None:
                continue
            number = found.version.number
            if verified.setdefault(number, (file.name, found))[1].digest != found.digest:
                fault = EvidenceRejected("evidence-directory", f"There is another version {number} of the directory.")
                self.findings.refuse(file.name, file.kind, fault)
        in_order = [verified[number] for number in sorted(verified)]
        for (_, before), (name, after) in pairwise(in_order):
            is_next = after.version.number == before.version.number + 1
            if is_next and after.version.previous != before.digest:
                fault = EvidenceRejected("evidence-directory", "It does not follow on the version before it.")
                self.findings.refuse(name, FileKind.DIRECTORY, fault)
        return [version for _, version in in_order]

    def _receipts(self, testimony: Testimony) -> list[Receipt]:
        proofs = {hashlib.sha256(content).hexdigest(): content for _, content in self._here(FileKind.PROOF)}
        held: list[Receipt] = []
        acceptance = ReceiptEvent.SUBMISSION_ACCEPTANCE.encode()
        for file, content in sorted(self._here(FileKind.RECEIPT), key=lambda one: acceptance not in one[1]):
            proof = proofs.get(file.proof or "")
            if proof is None:
                fault = EvidenceRejected("evidence-proof", "The proof that signs it is not in the file.")
                self.findings.refuse(file.name, file.kind, fault)
                continue
            check = partial(testimony.receipt, SignedReceipt(content, proof), acceptance_in(held))
            receipt = self.findings.tried(file.name, file.kind, check)
            if receipt is None:
                continue
            held.append(receipt)
            self.findings.made.append(
                Finding(
                    file=file.name,
                    what=receipt.event,
                    who=testimony.issuer_of(receipt),
                    at=receipt.occurred_at,
                    note=f"{receipt.reason.text} ({receipt.reason.code})" if receipt.reason else None,
                )
            )
        return held

    def _envelope(self, testimony: Testimony, receipts: Sequence[Receipt]) -> Verified[Envelope] | None:
        found = None
        for file, content in self._here(FileKind.ENVELOPE):
            try:
                found = testimony.envelope(content, receipts)
            except Rejected as error:
                # The hub refused it for just that: the evidence is whole, and what it proves is the refusal.
                attested = attested_refusal(receipts, error.code)
                note = f"does not hold, as the hub attests: {error.message}" if attested else None
                self.findings.made.append(
                    Finding(file=file.name, what="seal", note=note, fault=None if attested else error)
                )
            else:
                who = testimony.agency_named(found.value.sender)
                self.findings.made.append(Finding(file=file.name, what="seal", who=who, at=found.signed_at))
        return found

    def _attachments(self, envelope: Verified[Envelope] | None) -> None:
        named = {one.digest for one in envelope.value.extension.attachment_sizes} if envelope else set()
        for file in self._listed(FileKind.ATTACHMENT):
            if file.sha256 not in named:
                fault = EvidenceRejected("evidence-attachment", "No envelope whose seal holds here names it.")
                self.findings.refuse(file.name, file.kind, fault)
            elif not self.findings.speak_against(file.name):
                self.findings.made.append(Finding(file=file.name, what=file.kind))

    def _certificates(self, anchors: Sequence[x509.Certificate], versions: Sequence[VerifiedVersion]) -> None:
        used = {fingerprint(anchor) for anchor in anchors} | certificates_named(one.version for one in versions)
        for _, content in (*self._here(FileKind.PROOF), *self._here(FileKind.ENVELOPE)):
            try:
                used.update(map(fingerprint, certificates_in(content)))
            except Rejected:
                continue  # what is wrong with it stands with its receipts, or with the seal
        for file, content in self._here(FileKind.CERTIFICATE):
            found = self.findings.tried(file.name, file.kind, partial(parse_certificates, content))
            if found is not None and not used.issuperset(map(fingerprint, found)):
                fault = EvidenceRejected("evidence-certificate", "Nothing here was signed with it.")
                self.findings.refuse(file.name, file.kind, fault)
