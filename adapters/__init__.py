"""Adapters: what plugs a node into the software that an agency's clerks already use.

`adapters.sdk` is all that an adapter needs. Adapters are found by the entry point group `congvan.adapters` and
loaded only when the node's settings name them.
"""
