"""Guards: what every message passes on its way out and on its way in, and the ones that ship.

`adapters.guards.protocol` is what a guard of your own implements; it is found by its entry point (`congvan.guards`).
"""
