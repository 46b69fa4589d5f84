"""How the demo tells what happens: lines with times for people, one JSON object a line for machines."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from rich.markup import escape

from runtime.clock import Clock
from runtime.terminal import say, show_json


@dataclass(slots=True)
class Teller:
    """Tells each event once. Times on the terminal are seconds since the demo began."""

    clock: Clock
    as_json: bool
    began_at: datetime = field(init=False)

    def __post_init__(self) -> None:
        self.began_at = self.clock()

    @property
    def seconds(self) -> float:
        """Since the demo began."""
        return (self.clock() - self.began_at).total_seconds()

    def headline(self, text: str) -> None:
        """A line for people alone."""
        if not self.as_json:
            say(f"\n[bold]{escape(text)}[/bold]")

    def aside(self, text: str) -> None:
        """A line for people alone, beside the story."""
        if not self.as_json:
            say(escape(text))

    def tell(self, event: str, sentence: str, *, at: datetime | None = None, **fields: object) -> None:
        """`event` (dotted) with its fields for machines; for people `sentence`, after who it happened at."""
        instant = at or self.clock()
        if self.as_json:
            show_json({"event": event, "at": instant, **fields})
            return
        since = (instant - self.began_at).total_seconds()
        agency = str(fields.get("agency", ""))
        say(f"  [dim]{since:6.2f} s[/dim]  [cyan]{agency:<4}[/cyan] {escape(sentence)}")
