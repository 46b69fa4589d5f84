"""Submissions whose envelopes were judged good and whose attachments are still coming."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import ColumnElement, Row, Select, bindparam, delete, insert, select, update

from hub.store.exchange_tables import submissions, uploads
from hub.store.metadata import Transaction
from runtime.columns import insert_or
from runtime.prepared import Prepared
from schemas.envelope import Sha256Hex


@dataclass(frozen=True, slots=True)
class SubmissionKey:
    """A submission of one connection: of this message, from this code."""

    connection: str
    from_code: str
    message_id: Sha256Hex


@dataclass(frozen=True, slots=True)
class Upload:
    """An attachment on its way. `file` names its bytes among the uploads; `content` is there for a short one.

    `complete`: the bytes are all there and have the digest.
    """

    upload: str
    digest: Sha256Hex
    size: int
    file: str
    complete: bool
    content: bytes | None


def pin(
    transaction: Transaction, key: SubmissionKey, wanted: Sequence[Upload], *, most: int, at: datetime
) -> dict[Sha256Hex, Upload] | None:
    """Note what `key` has brought and still lacks; gives its uploads as they stand then, by digest.

    An upload that is pinned already stays, unless `wanted` brings its complete bytes. None, and nothing changes, if
    `most` submissions of the connection wait already.
    """
    submission = _HELD.scalar(transaction, _named(key))
    if submission is None:
        waiting = select(submissions.c.submission).where(submissions.c.connection == key.connection)
        if transaction.scalar(waiting.limit(1).offset(most - 1)) is not None:
            return None
        submission = transaction.scalar(
            insert(submissions)
            .values(connection=key.connection, from_code=key.from_code, message_id=key.message_id, touched_at=at)
            .returning(submissions.c.submission)
        )
    else:
        transaction.execute(update(submissions).where(submissions.c.submission == submission).values(touched_at=at))
    statement = insert_or(transaction, uploads)
    brought = {name: statement.excluded[name] for name in ("file", "complete", "content")}
    transaction.execute(
        statement.on_conflict_do_update(
            index_elements=[uploads.c.submission, uploads.c.digest],
            set_=brought,
            where=statement.excluded.complete & ~uploads.c.complete,
        ),
        [
            {
                "upload": upload.upload,
                "submission": submission,
                "digest": upload.digest,
                "size": upload.size,
                "file": upload.file,
                "complete": upload.complete,
                "content": upload.content,
            }
            for upload in wanted
        ],
    )
    return pinned(transaction, key)


def pinned(transaction: Transaction, key: SubmissionKey) -> dict[Sha256Hex, Upload]:
    """The uploads of a submission, by digest; none if there is no such submission."""
    rows = transaction.execute(_PINNED, _named(key))
    return {row.digest: _upload(row) for row in rows}


@dataclass(frozen=True, slots=True)
class UploadStanding:
    """An upload as its client knows it. `touched_at` is when something came of its submission last.

    `description` is what the client said of it when it created it (tus: Upload-Metadata).
    """

    upload: Upload
    touched_at: datetime
    description: str | None


def upload_of(transaction: Transaction, connection: str, upload: str) -> UploadStanding | None:
    """An upload of `connection`'s, by its id."""
    return _standing(transaction, connection, uploads.c.upload == upload)


def describe(
    transaction: Transaction, connection: str, message_id: Sha256Hex, digest: Sha256Hex, description: str
) -> UploadStanding | None:
    """The upload that waits for this attachment of a message of `connection`'s, with a new description; None: none."""
    lacks = (submissions.c.message_id == message_id) & (uploads.c.digest == digest)
    found = _standing(transaction, connection, lacks)
    if found is None:
        return None
    named = uploads.c.upload == found.upload.upload
    transaction.execute(update(uploads).where(named).values(description=description))
    return replace(found, description=description)


def drop_upload(transaction: Transaction, connection: str, upload: str) -> str | None:
    """Forget an upload of `connection`'s; gives the file that it may have left, None if there is no such upload."""
    mine = select(submissions.c.submission).where(submissions.c.connection == connection)
    file: str | None = transaction.scalar(
        delete(uploads).where(uploads.c.upload == upload, uploads.c.submission.in_(mine)).returning(uploads.c.file)
    )
    return file


def note_progress(transaction: Transaction, upload: str, received: int, *, at: datetime) -> None:
    """So many bytes are here of an upload, and its submission is alive."""
    transaction.execute(update(uploads).where(uploads.c.upload == upload).values(received=received))
    of = select(uploads.c.submission).where(uploads.c.upload == upload)
    transaction.execute(
        update(submissions).where(submissions.c.submission == of.scalar_subquery()).values(touched_at=at)
    )


def complete(transaction: Transaction, upload: str, content: bytes | None) -> None:
    """The bytes of an upload are all there and were checked."""
    transaction.execute(update(uploads).where(uploads.c.upload == upload).values(complete=True, content=content))


def lose(transaction: Transaction, upload: str) -> None:
    """The bytes of an upload that was complete are gone."""
    transaction.execute(update(uploads).where(uploads.c.upload == upload).values(complete=False))


def waits(transaction: Transaction, connection: str) -> bool:
    """Whether any submission of `connection` waits for attachments."""
    return _WAITING.first(transaction, {"of_connection": connection}) is not None


def drop(transaction: Transaction, key: SubmissionKey) -> tuple[str, ...]:
    """Forget a submission; gives the files that its uploads may have left."""
    return _drop(transaction, _HELD.scalars(transaction, _named(key)))


def drop_untouched(transaction: Transaction, *, since: datetime, spared: Collection[str], most: int) -> tuple[str, ...]:
    """Forget up to `most` submissions of which nothing came since then; gives the files of their uploads.

    Those that the uploads `spared` belong to are left: they are being written.
    """
    alive = select(uploads.c.submission).where(uploads.c.upload.in_(spared))
    old = (
        select(submissions.c.submission)
        .where(submissions.c.touched_at < since, submissions.c.submission.not_in(alive))
        .order_by(submissions.c.touched_at)
        .limit(most)
    )
    return _drop(transaction, list(transaction.scalars(old)))


def unknown_files(transaction: Transaction, files: Sequence[str]) -> list[str]:
    """Those of `files` that no upload has."""
    known = set(transaction.scalars(select(uploads.c.file).where(uploads.c.file.in_(files))))
    return [file for file in files if file not in known]


def _drop(transaction: Transaction, numbers: Sequence[int]) -> tuple[str, ...]:
    if not numbers:
        return ()
    files = tuple(transaction.scalars(select(uploads.c.file).where(uploads.c.submission.in_(numbers))))
    transaction.execute(delete(uploads).where(uploads.c.submission.in_(numbers)))
    transaction.execute(delete(submissions).where(submissions.c.submission.in_(numbers)))
    return files


def _named(key: SubmissionKey) -> dict[str, str]:
    return {"of_connection": key.connection, "of_message_id": key.message_id, "of_from_code": key.from_code}


def _uploads() -> Select[str, str, int, str, bool, bytes]:
    return select(
        uploads.c.upload, uploads.c.digest, uploads.c.size, uploads.c.file, uploads.c.complete, uploads.c.content
    )


def _standing(transaction: Transaction, connection: str, condition: ColumnElement[bool]) -> UploadStanding | None:
    row = transaction.execute(
        _uploads()
        .add_columns(submissions.c.touched_at, uploads.c.description)
        .join(submissions, submissions.c.submission == uploads.c.submission)
        .where(condition, submissions.c.connection == connection)
        .limit(1)
    ).one_or_none()
    return None if row is None else UploadStanding(Upload(*row[:6]), row.touched_at, row.description)


def _upload(row: Row[str, str, int, str, bool, bytes]) -> Upload:
    return Upload(*row)


# Asked for every submission with attachments: built once.
_NUMBERS = select(submissions.c.submission).where(
    submissions.c.connection == bindparam("of_connection"),
    submissions.c.message_id == bindparam("of_message_id"),
    submissions.c.from_code == bindparam("of_from_code"),
)
_HELD = Prepared(_NUMBERS)
_PINNED = _uploads().where(uploads.c.submission.in_(_NUMBERS))
_WAITING = Prepared(
    select(submissions.c.submission).where(submissions.c.connection == bindparam("of_connection")).limit(1)
)
