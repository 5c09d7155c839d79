"""What the server says about itself: structured logs without secrets, Prometheus metrics, and traces.

Owns names, redaction, sampling and the queue of spans. Never dials: who opens traces hands over how to send them.
"""
