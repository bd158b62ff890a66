"""What the server tells of itself (docs/observability.md): log lines, figures for Prometheus, traces.

Figures and traces are made of what the ledger has written, once a request: nothing is measured twice, and what is told
here agrees with the usage rows.
"""
