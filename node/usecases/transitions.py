"""What an agency of ours may say next about a document: the order of statuses, and reasons where people need one."""

from __future__ import annotations

from node.store import business, requests
from node.store.metadata import Transaction
from schemas.codes import AgencyCode
from schemas.envelope import Sha256Hex
from schemas.errors import Rejected
from schemas.message import StatusCode, StatusMessage
from schemas.status_order import ANSWERS, NEEDS_REASON, may_follow, status_words

_ELEMENT = "MessageHeader/StatusCode"


def require_reason(status: StatusCode, reason: str | None) -> None:
    """Pass if `status` needs no reason or has one; raises Rejected: `reason-missing`."""
    if status in NEEDS_REASON and not (reason and reason.strip()):
        raise Rejected(
            "reason-missing",
            f"Status {status_words(status)} says why, and no reason was given.",
            element="MessageHeader/Description",
            mend="Give the reason in Description (--note).",
        )


def said_already(
    transaction: Transaction, status: StatusMessage, about: Sha256Hex, sender: AgencyCode
) -> Sha256Hex | None:
    """The message with which `sender`, an agency of ours, has said the same about `about` before; None if it has not.

    That is its last status in the same words; or 01 at any time, which the node says by itself when a document has
    arrived, and software that knows nothing of that says once more.
    """
    code = status.status_code
    if code is StatusCode.ARRIVED:
        arrival = business.last_status(transaction, about, sender, among=(code,))
        return arrival.message_id if arrival else None
    last = business.last_status(transaction, about, sender)
    if last is None or last.status is not code or _words(last.words) != _words(status.description):
        return None
    return last.message_id


def _words(text: str | None) -> str:
    return (text or "").strip()


def require_transition(transaction: Transaction, status: StatusMessage, about: Sha256Hex, sender: AgencyCode) -> None:
    """Pass if `sender`, an agency of ours, may now say `status` about the message `about`.

    Raises Rejected: `reason-missing`, `status-transition`.
    """
    code = status.status_code
    if code is StatusCode.TAKEN_BACK:
        return
    require_reason(code, status.description)
    if requests.was_given_back(transaction, about, sender):
        raise _refused(
            f"{sender} has agreed to the recall of the message {about}: nothing more is to be said of it.",
            mend="Ask its sender to send it anew.",
        )
    on_request = requests.is_request(transaction, about, sender)
    if code in ANSWERS and not on_request:
        raise _refused(
            f"Status {status_words(code)} answers a recall or an update; the message {about} is neither.",
            mend="Answer the recall or the update by its own message id; `congvan node inbox` lists it.",
        )
    last = business.last_status(transaction, about, sender)
    allowed = may_follow(last.status if last else None, on_request=on_request)
    if code not in allowed:
        given = (
            f"The last status that {sender} gave about it is {status_words(last.status)}"
            if last
            else "No status was given"
        )
        following = f"only {', '.join(map(status_words, allowed))} may follow" if allowed else "nothing may follow"
        raise _refused(
            f"Status {status_words(code)} cannot be given about the message {about}. {given}; {following}.",
            mend=f"Give status {' or '.join(allowed)}." if allowed else "Its sender has been told how it ended.",
        )


def _refused(message: str, *, mend: str) -> Rejected:
    return Rejected("status-transition", message, element=_ELEMENT, mend=mend)
