"""A self-hosted OAuth 2.1 authorization server for the Model Context Protocol (MCP)."""

__version__ = "0.1.0"
