"""Keys, certificates and trust; sealing and unsealing; the signatures of receipts and of the directory.

`certs` turns bytes into `Verified[…]` or raises, and nothing else of the house does: what a use case receives was
signed, by a key that may sign it, under an anchor that holds for it.
"""
