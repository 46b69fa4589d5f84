"""What the hub does: each use case takes what it needs, decides, and leaves statements to the store."""
