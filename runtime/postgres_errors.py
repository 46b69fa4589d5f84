"""What PostgreSQL's errors and broken connections mean here, by SQLSTATE (PostgreSQL's manual, appendix A)."""

from __future__ import annotations

from typing import Final, NoReturn

import sqlalchemy.exc
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError

from runtime.grouped_writes import DatabaseAway, DatabaseFailed
from runtime.postgres_address import PostgresAddress
from schemas.errors import CongvanError, Unavailable

#: What working with a server raises: a connection that does not come about is the system's error.
DRIVER_ERRORS: Final = (SQLAlchemyError, OSError)

#: serialization_failure, deadlock_detected: the transaction would have succeeded alone.
_CONFLICTS: Final = frozenset({"40001", "40P01"})
_UNIQUE_VIOLATION: Final = "23505"
_LOCK_NOT_AVAILABLE: Final = "55P03"

#: The server ended the session, is starting, or is stopping: class 57P, connection exceptions (08), and a session that
#: it found idle in a transaction for too long (a process that stood still and wakes up).
_LOST: Final = frozenset({"57P01", "57P02", "57P03", "57P04", "57P05", "25P03"})


def sqlstate(error: BaseException) -> str | None:
    """The five characters by which the server names `error`; None if it did not come from the server."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    state = getattr(cause, "sqlstate", None)
    return state if isinstance(state, str) else None


def is_conflict(error: BaseException) -> bool:
    """True if the transaction collided with another one and is to be run again.

    A collision of two that each looked first and then inserted can show as a key that is there already (manual, 13.5).
    """
    return sqlstate(error) in _CONFLICTS | {_UNIQUE_VIOLATION}


def is_certain_conflict(error: BaseException) -> bool:
    """True for a conflict that cannot be a mistake of the transaction itself."""
    return sqlstate(error) in _CONFLICTS


def is_locked_out(error: BaseException) -> bool:
    """True if others hold what was waited for, and `lock_timeout` was over."""
    return sqlstate(error) == _LOCK_NOT_AVAILABLE


def is_lost(error: BaseException) -> bool:
    """True if there is no connection (any more): refused, broken, ended by the server, or without an answer."""
    if isinstance(error, OSError | TimeoutError):
        return True
    if not isinstance(error, DBAPIError):
        return False
    state = sqlstate(error) or ""
    return error.connection_invalidated or state in _LOST or state.startswith("08")


def raise_translated(error: Exception, address: PostgresAddress) -> NoReturn:
    """Raise the error of ours for `error`; itself if it is none of the driver's, or a broken constraint."""
    ours = _translated(error, address)
    if ours is error:
        raise error
    raise ours from error


def _translated(error: Exception, address: PostgresAddress) -> Exception:
    if isinstance(error, CongvanError | IntegrityError):
        return error
    if is_lost(error):
        return DatabaseAway(
            "database-unreachable",
            f"The database {address} cannot be reached: {_text(error)}.",
            mend="Start the server, or correct [database] url; work goes on by itself.",
        )
    if isinstance(error, sqlalchemy.exc.TimeoutError):
        return Unavailable(
            "database-busy",
            f"All {address.readers} connections to {address} were in use for too long.",
            mend="Raise [database] connections, or see what the server is busy with.",
        )
    if not isinstance(error, DBAPIError):
        return error
    return _by_state(sqlstate(error), _text(error), address)


def _by_state(state: str | None, text: str, address: PostgresAddress) -> CongvanError:
    match state:
        case "40001" | "40P01":
            return Unavailable(
                "database-busy", f"Too many changes collided in {address}: {text}.", mend="Try again in a moment."
            )
        case "28P01":
            return DatabaseAway(
                "database-password",
                f"{address} refuses the password of {address.user}.",
                mend="Put the right one into the file that [database] password_file names.",
            )
        case "28000":
            return DatabaseAway(
                "database-refused",
                f"{address} does not let {address.user} in: {text}.",
                mend="Correct the user in [database] url, or let it in in the server's pg_hba.conf.",
            )
        case "3D000":
            return DatabaseAway(
                "database-missing",
                f"There is no database {address}.",
                mend=f"Make it (`createdb --owner {address.user} {address.database}`), or correct [database] url.",
            )
        case "53100":
            return Unavailable(
                "storage-full",
                f"The disk of the database {address} is full: {text}.",
                mend="Free space on the server's disk; work goes on by itself.",
            )
        case "53300":
            return DatabaseAway(
                "database-connections",
                f"{address} takes no more connections: {text}.",
                mend="Raise the server's max_connections, or lower [database] connections.",
            )
        case "25006":
            return DatabaseAway(
                "database-read-only",
                f"{address} can only be read: {text}.",
                mend="Let [database] url lead to the primary server.",
            )
        case "42501":
            return Unavailable(
                "database-permission",
                f"{address.user} may not do that in {address}: {text}.",
                mend=f"Let {address.user} own the database.",
            )
        case _:
            return DatabaseFailed(
                "database-failed",
                f"The database {address} failed: {text}{f' ({state})' if state else ''}.",
                mend="See the log; `congvan hub migrate` or `node migrate` mends an old schema.",
            )


def _text(error: BaseException) -> str:
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    # The driver's adapter sets the class before the text.
    text = str(cause).rpartition(">: ")[2] or type(cause).__name__
    return " ".join(text.split()).rstrip(".")
