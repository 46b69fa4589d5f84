"""`congvan demo`: the whole way of one document, on this machine, in a temporary folder."""
