"""What Congvan does in a second, measured against a floor of the same machine in the same run."""
