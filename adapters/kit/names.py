"""Names of attachments as a hostile or careless sender may write them."""

from __future__ import annotations

from pathlib import Path


def hostile_names(canary: Path) -> tuple[str, ...]:
    """Names that an envelope carries, all for one message; `canary` is a folder that none of them may reach."""
    return (
        "../../../../escaped-by-dots.txt",
        "..\\..\\escaped-by-backslashes.txt",
        str(canary / "escaped-by-root.txt"),
        "C:\\Windows\\escaped-by-drive.txt",
        "hợp đồng\u202efdp.exe",
        "công văn hỏa tốc " * 29 + "500.pdf",
        "CON",
        "nul.txt",
        "COM1.pdf",
        "LPT¹",
        "a\nb\tc.pdf",
        "thư.pdf . . .",
        " .hidden",
        "",
        ".",
        "..",
        "a.pdf",
        "A.PDF",
        "e\u0301.pdf",
        "é.pdf",
        "a.pdf",
        "$(reboot)`id`;'\".pdf",
        "-rf",
        "<script>alert(1)</script>.pdf",
        "%2e%2e%2fescaped-by-percent.txt",
    )


def unwritable_names() -> tuple[str, ...]:
    """Names that XML cannot carry, so that no envelope brings them; an adapter is to bear whatever the type allows."""
    return ("bao-cao\0.pdf", "a\r\nb.pdf", "màu \x1b[31mđỏ.pdf", "\x07chuông.pdf", "\x7f.pdf")
