"""The front door: the `congvan` command, its tools and the demo."""
