"""Real servers that tests, the crash suite and benchmarks start for themselves."""
