"""Who asks: clients, how they are found, what they may do and how they prove themselves.

Owns the `Client` value, its sources (pre-registration, Client ID Metadata Documents, dynamic registration), the trust
policy and client authentication. Never decides about scopes (policy does) and never stores anything.
"""
