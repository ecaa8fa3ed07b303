"""What no text may leave this host with: found by name, by form, by entropy, and by being known."""
