"""The loops of the daemon: each waits for work, hands it to its use case, and rests when that says so."""
