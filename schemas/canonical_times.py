"""The dates and times of a message as strict receivers read them, as far as their meaning is known."""

from __future__ import annotations

from dataclasses import replace

from schemas.findings import Finding
from schemas.message import Message, ResponseFor, StatusMessage
from schemas.times import DateText, TimestampText


def with_canonical_times(message: Message) -> tuple[Message, tuple[Finding, ...]]:
    """`message` with every date written `yyyy/MM/dd` and every time `yyyy/MM/dd HH:mm:ss`.

    A text that names no day or time is kept, with a finding: strict receivers read nothing there.
    """
    texts = _Texts()
    if isinstance(message, StatusMessage):
        status = replace(
            message,
            response_for=texts.of_response("MessageHeader/ResponseFor", message.response_for),
            timestamp=texts.timestamp("MessageHeader/Timestamp", message.timestamp),
        )
        return status, tuple(texts.findings)
    document = replace(
        message,
        promulgation=replace(
            message.promulgation,
            date=texts.date("MessageHeader/PromulgationInfo/PromulgationDate", message.promulgation.date),
        ),
        due_date=texts.date("MessageHeader/DueDate", message.due_date) if message.due_date else None,
        response_for=tuple(texts.of_response("MessageHeader/ResponseFor", one) for one in message.response_for),
        trace=tuple(
            replace(hop, timestamp=texts.timestamp("TraceHeaderList/TraceHeader/Timestamp", hop.timestamp))
            for hop in message.trace
        ),
    )
    return document, tuple(texts.findings)


class _Texts:
    """Turns texts, and collects a finding for each whose meaning is unknown."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []

    def date(self, element: str, text: DateText) -> DateText:
        day = text.date
        if day is None:
            self._note(element, "date-impossible", f"{text.text[:60]!r} is no day; it is written as it is.")
            return text
        return DateText.of(day)

    def timestamp(self, element: str, text: TimestampText) -> TimestampText:
        instant = text.instant
        if instant is None:
            self._note(element, "time-impossible", f"{text.text[:60]!r} is no time; it is written as it is.")
            return text
        return TimestampText.of(instant)

    def of_response(self, element: str, response: ResponseFor) -> ResponseFor:
        date = response.promulgation_date
        if date is None:
            return response
        return replace(response, promulgation_date=self.date(f"{element}/PromulgationDate", date))

    def _note(self, element: str, code: str, message: str) -> None:
        self.findings.append(Finding(code=code, message=message, element=element, strict_refuses=True))
