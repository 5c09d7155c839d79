"""The OAuth endpoints over HTTP. Parsing, calling and rendering only; decisions are in `authz.oauth`."""
