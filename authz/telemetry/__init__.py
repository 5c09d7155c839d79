"""What the server says about itself: structured logs without secrets, and Prometheus metrics."""
