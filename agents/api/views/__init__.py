"""The endpoints of /api, a file for each noun."""
