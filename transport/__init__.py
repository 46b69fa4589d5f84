"""The protocol between node and hub, version 1: paths, media types, wire forms, problem codes; and its client.

docs/protocol.md says it in words.
"""
