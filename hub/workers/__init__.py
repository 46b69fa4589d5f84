"""What the hub does by itself, beside what it is asked for."""
