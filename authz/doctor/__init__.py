"""What the known MCP clients find at a server's URL, and what stops them.

Owns the walk through discovery (`walk`), what each client does (`profiles`) and the judgement (`checks` and its
subjects, pure). Asks only what clients ask before anybody signs in. Never signs in, registers or stores anything,
and needs no installation of ours: any MCP server with any authorization server will do.
"""
