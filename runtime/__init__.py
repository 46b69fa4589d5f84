"""What any program here stands on: settings, logs, lifecycle, database, blobs, metrics, files, the terminal."""
