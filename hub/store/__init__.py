"""What the hub knows, in its database: functions of a running transaction, and the tables they work on."""
