"""The filedrop adapter: two folders between a node and any software, or person, that can copy a file.

out/     what is dropped here is sent: a classic edXML file, or a folder with documents and `meta.toml`
in/      what arrives appears here, each message a folder of its own, whole at once and once only
sent/    what was sent, by day, each with a note that names its message
failed/  what cannot be sent, each with the reason
"""

from adapters.filedrop.adapter import Filedrop, open_filedrop

__all__ = ["Filedrop", "open_filedrop"]
