"""What a node answers over HTTP: health and metrics, for the agency's own monitoring."""
