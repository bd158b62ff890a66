"""What keeps the web admin, the logs and the way through a proxy safe (docs/security.md)."""
