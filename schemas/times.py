"""Dates and times as edXML writes them: the text is kept, the meaning is computed.

Real writers produce `yyyy/MM/dd`, sometimes `dd/MM/yyyy`, sometimes days that never were (`2014/02/30`). A signed
text must travel as it stands, so the text is the value and its meaning may be absent.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Self

#: Vietnam keeps one offset and no daylight saving time since 1975; edXML's times carry no zone and mean this one.
VIETNAM = timezone(timedelta(hours=7), "Asia/Ho_Chi_Minh")


@dataclass(frozen=True, slots=True)
class DateText:
    """A date as written. `date` is its meaning, None where the text names no day."""

    text: str

    @classmethod
    def of(cls, day: date) -> Self:
        return cls(day.strftime("%Y/%m/%d"))

    @property
    def date(self) -> date | None:
        return _first_match(self.text, ("%Y/%m/%d", "%d/%m/%Y"))

    @property
    def end(self) -> datetime | None:
        """The last second of the day in Vietnam, in UTC: until then what is due on that day is in time."""
        day = self.date
        if day is None:
            return None
        return datetime(day.year, day.month, day.day, 23, 59, 59, tzinfo=VIETNAM).astimezone(UTC)

    @property
    def is_canonical(self) -> bool:
        """True for a real day written `yyyy/MM/dd`, the only form that a strict reader takes."""
        day = _first_match(self.text, ("%Y/%m/%d",))
        return day is not None and day.strftime("%Y/%m/%d") == self.text


@dataclass(frozen=True, slots=True)
class TimestampText:
    """A local time as written. `instant` is its meaning in UTC, None where the text names no time."""

    text: str

    @classmethod
    def of(cls, instant: datetime) -> Self:
        """The text of an aware `instant`, to the second, in Vietnam's time."""
        return cls(instant.astimezone(VIETNAM).strftime("%Y/%m/%d %H:%M:%S"))

    @property
    def instant(self) -> datetime | None:
        for form in ("%Y/%m/%d %H:%M:%S", "%d/%m/%Y %H:%M:%S"):
            try:
                return datetime.strptime(self.text, form).replace(tzinfo=VIETNAM).astimezone(UTC)
            except (ValueError, OverflowError):
                continue
        return None

    @property
    def is_canonical(self) -> bool:
        """True for a real time written `yyyy/MM/dd HH:mm:ss`."""
        return self.instant is not None and TimestampText.of(self.instant).text == self.text


def _first_match(text: str, forms: tuple[str, ...]) -> date | None:
    for form in forms:
        try:
            return datetime.strptime(text, form).replace(tzinfo=VIETNAM).date()
        except ValueError:
            continue
    return None
