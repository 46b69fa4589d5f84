"""The exchange: admits agencies, judges and keeps what they submit, carries it on, and receipts every step."""
