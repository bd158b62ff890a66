"""What the management API shows and takes, a file for each noun."""
