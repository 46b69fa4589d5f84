"""The agency's daemon: an outbox that loses nothing, an inbox that hands nothing over twice, adapters between them."""
