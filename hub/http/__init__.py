"""The hub's HTTP server: who asks, what was asked, and the answers' forms. What is decided is decided by use cases."""
