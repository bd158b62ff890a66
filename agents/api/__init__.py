"""The management API below /api: what the web admin can do, for programs (docs/api.md)."""
