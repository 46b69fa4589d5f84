"""An adapter in a process of its own: whatever it does to that process, the node and its other adapters go on."""
