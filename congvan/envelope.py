"""`congvan envelope`: edXML files shown, checked, packed, unpacked, sealed, verified, for integrators and support."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, TypeAlias

import typer
from rich.markup import escape

from certs.sealing import load_sealing_key
from congvan.envelope_files import EdxmlFile, read_edxml
from congvan.envelope_json import as_json, attachment_as_json, finding_as_json
from congvan.envelope_packing import pack_document, unpack_attachments
from congvan.envelope_seals import SealFacts, read_anchors, seal_facts, seal_file, signer_as_json, verify_seal
from congvan.envelope_view import show_file, show_findings, show_seal, visible
from runtime.clock import utc_now
from runtime.files import write_file
from runtime.passphrases import read_passphrase
from runtime.terminal import err, local_time, say, show_json
from schemas.errors import Rejected
from schemas.peer_limits import beyond_peer_limits

_READABLE = 0o644

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="Show, check, pack, unpack, seal and verify edXML files.\n\n"
    "Two forms are known. The [bold]classic[/bold] form is what agencies' software reads and writes: one file, the "
    "attachments inside. The form that [bold]travels[/bold] between nodes is sealed; its attachments lie beside it, "
    "named by their SHA-256. Every command finds out by itself which one a file has.",
)

File: TypeAlias = Annotated[Path, typer.Argument(metavar="FILE", help="An edXML file of either form.")]
Json: TypeAlias = Annotated[bool, typer.Option("--json", help="Print one JSON object, for programs.")]
Out: TypeAlias = Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="The file to write.")]
Anchors: TypeAlias = Annotated[
    list[Path] | None,
    typer.Option("--anchor", metavar="PEM", help="A certificate to trust; can be given several times."),
]
At: TypeAlias = Annotated[
    datetime | None,
    typer.Option(
        formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"],
        metavar="TIME",
        help="Judge certificates at this time (UTC), not now.",
    ),
]


@app.command()
def show(file: File, *, anchor: Anchors = None, at: At = None, as_json_: Json = False) -> None:
    """Show what a file says: its header, its attachments with their SHA-256, what is odd about it, its seal.

    With --json the elements stand under their edXML names, nested as in the file; every value is the text exactly as
    it is written, and what may occur several times is a list even where it occurs once.

    Example: [bold]congvan envelope show document.edxml --json | jq .MessageHeader.Subject[/bold]
    """
    edxml = read_edxml(file)
    seal = _seal_of(edxml, anchor, at)
    if as_json_:
        shown = as_json(edxml)
        if edxml.travelling:
            shown["seal"] = seal.as_json() if seal else None
        show_json(shown)
        return
    show_file(edxml, seal)


@app.command()
def validate(file: File, *, as_json_: Json = False) -> None:
    """Check a file, and say what a strict receiver on the axis would refuse, lose or misread in it.

    Exit status 1 if there is any such thing, 0 if there are at most notes.

    Example: [bold]congvan envelope validate document.edxml[/bold]
    """
    edxml = read_edxml(file)
    findings = [*edxml.findings, *beyond_peer_limits(edxml.message)]
    seal = _seal_of(edxml, None, None)
    sound = not any(finding.strict_refuses for finding in findings) and (seal is None or seal.fault is None)
    if as_json_:
        show_json(
            {
                "file": str(file),
                "form": "travelling" if edxml.travelling else "classic",
                "valid": sound,
                "findings": [finding_as_json(finding) for finding in findings],
                "seal": seal.as_json() if seal else None,
            }
        )
    else:
        show_findings(findings)
        if edxml.travelling:
            show_seal(seal)
        say(
            f"{escape(str(file))}: "
            + ("[green]valid[/green]" if sound else "[red]not valid[/red] for strict receivers")
        )
    if not sound:
        raise typer.Exit(1)


@app.command()
def pack(
    meta: Annotated[Path, typer.Argument(metavar="META", help="What the document is: a .toml or .json file.")],
    files: Annotated[list[Path] | None, typer.Argument(metavar="FILE…", help="The attachments.")] = None,
    *,
    out: Out,
    as_json_: Json = False,
) -> None:
    """Make a classic edXML file of metadata and attachments, in the form that strict receivers read.

    The least that META says, in TOML:

        from = "G22"
        to = ["H23", "H31"]
        subject = "V/v gửi, nhận văn bản điện tử"
        code = "6101/VPCP-KSTT"
        place = "Hà Nội"
        signer = "Nguyễn Thị Lan"

    Example: [bold]congvan envelope pack meta.toml letter.pdf annex.csv -o document.edxml[/bold]
    """
    packed = pack_document(meta, files or [], out, utc_now())
    if as_json_:
        show_json(
            {
                "file": str(out),
                "DocumentId": packed.document_id,
                "attachments": len(files or []),
                "findings": [finding_as_json(finding) for finding in packed.findings],
            }
        )
        return
    show_findings(packed.findings)
    say(f"[green]{escape(str(out))}[/green] holds {escape(packed.document_id)} with {len(files or [])} attachments.")


@app.command()
def unpack(
    file: File,
    *,
    to: Annotated[Path, typer.Option("--to", metavar="DIR", help="The folder to write into; made if it is missing.")],
    as_json_: Json = False,
) -> None:
    """Write the attachments of a classic file into a folder, under their own names made safe.

    No file that stands there is overwritten, and nothing is left where the file turns out to be damaged.

    Example: [bold]congvan envelope unpack document.edxml --to attachments[/bold]
    """
    written = unpack_attachments(file, to)
    if as_json_:
        show_json([{**attachment_as_json(attachment), "path": str(path)} for path, attachment in written])
        return
    for path, attachment in written:
        say(f"{escape(str(path))}  {attachment.size:,} bytes  SHA-256 {attachment.digest}")
    if not written:
        say("The file has no attachments.")


@app.command()
def sign(
    file: File,
    *,
    key: Annotated[Path, typer.Option(metavar="PEM", help="The private key that seals.")],
    cert: Annotated[Path, typer.Option(metavar="PEM", help="Its certificate, and those above it.")],
    out: Out,
    passphrase_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A file (mode 0600) with the passphrase of the key.")
    ] = None,
    submission_id: Annotated[
        str | None, typer.Option(metavar="ID", help="Your own id of this sending; a random one, if not given.")
    ] = None,
    as_json_: Json = False,
) -> None:
    """Seal an envelope, as a node does before it sends it.

    FILE is an envelope that travels and has no seal yet, or a classic file: its attachments are then named by their
    SHA-256, and travel beside the envelope ([bold]congvan envelope unpack[/bold] writes them).

    Example: [bold]congvan envelope sign document.edxml --key seal.key --cert seal.pem -o sealed.xml[/bold]
    """
    passphrase = read_passphrase(passphrase_file) if passphrase_file else None
    sealed = seal_file(
        read_edxml(file), load_sealing_key(key, cert, passphrase), utc_now(), submission_id or str(uuid.uuid4())
    )
    write_file(out, sealed.data, mode=_READABLE)
    if as_json_:
        show_json({"file": str(out), "message_id": sealed.message_id})
        return
    say(f"[green]{escape(str(out))}[/green] is sealed; its message id is {sealed.message_id}.")


@app.command()
def verify(
    file: File,
    *,
    anchor: Annotated[
        list[Path], typer.Option("--anchor", metavar="PEM", help="A certificate to trust; can be given several times.")
    ],
    at: At = None,
    as_json_: Json = False,
) -> None:
    """Verify the seal of an envelope: nothing in it was changed, and its key leads to a certificate that you trust.

    Whether that key may speak for the agency in From is the directory's to say: a hub and a node ask it, this command
    does not.

    Example: [bold]congvan envelope verify sealed.xml --anchor root.pem[/bold]
    """
    edxml = read_edxml(file)
    if edxml.travelling is None:
        raise Rejected(
            "seal-missing",
            f"{file} is of the classic form, which carries no seal.",
            mend="Verify the sealed envelope that came with it.",
        )
    verified = verify_seal(edxml.travelling.data, read_anchors(anchor), _instant(at))
    facts = seal_facts(edxml.travelling.data, (), _instant(at))
    signer = facts.signer if facts else None
    if as_json_:
        show_json(
            {
                "file": str(file),
                "verified": True,
                "message_id": verified.message_id,
                "from": verified.value.sender.value,
                "signed_at": verified.signed_at,
                "signer": signer_as_json(signer) if signer else None,
            }
        )
        return
    name = visible(signer.subject.rfc4514_string()) if signer else verified.signer_fingerprint
    say(f"[green]The seal holds.[/green] {escape(name)} sealed it on {local_time(verified.signed_at)}.")
    say(f"From {verified.value.sender}, message id {verified.message_id}.")
    err.print("The directory was not asked whether this key may speak for that agency; a hub and a node ask it.")


def _seal_of(edxml: EdxmlFile, anchors: list[Path] | None, at: datetime | None) -> SealFacts | None:
    if edxml.travelling is None:
        return None
    return seal_facts(edxml.travelling.data, read_anchors(anchors or ()), _instant(at))


def _instant(at: datetime | None) -> datetime:
    return at.replace(tzinfo=UTC) if at is not None else utc_now()
