"""Vietnamese text as people search for it: whoever looks for `so tu phap` means `Sở Tư pháp`."""

from __future__ import annotations

import unicodedata
from typing import Final

# The one letter whose mark is no combining character.
_CROSSED: Final = str.maketrans("đĐ", "dD")


def folded(text: str) -> str:
    """`text` in small letters without marks, blanks single: equal for all who mean the same name."""
    decomposed = unicodedata.normalize("NFD", text.translate(_CROSSED))
    bare = "".join(letter for letter in decomposed if not unicodedata.combining(letter))
    return " ".join(bare.casefold().split())
