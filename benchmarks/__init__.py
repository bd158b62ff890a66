"""What a request costs: `./openfang bench` runs the same loads on this server and on what a user would pick instead."""
