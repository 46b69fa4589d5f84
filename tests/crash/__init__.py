"""The crash suite: real programs under load, killed, cut off, filled up and set to wrong times; then the audit.

`make crash`, or `python -m tests.crash --help`. docs/crash-suite.md says what it proves and what it does not.
"""
