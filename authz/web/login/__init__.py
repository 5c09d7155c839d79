"""Signing in and out over HTTP, and the tenant's landing page."""
