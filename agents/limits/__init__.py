"""What callers may use: requests and tokens counted in the cache, budgets in the database, alerts about them."""
