"""The language of the exchange: agency codes, edXML messages, receipts, the directory, and their XSDs.

No I/O, no clock and no cryptography live here: bytes become values and values become bytes.
"""
