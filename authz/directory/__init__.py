"""Who they are: people and groups of the local directory, and the browsers they are signed in with.

Owns how a login name is spelled and found, and the life of a session. Never decides what somebody may do (`policy`
does), and never tells a stranger whether a name exists.
"""
