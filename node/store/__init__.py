"""The node's record: tables, and functions of a connection that read and write them."""
