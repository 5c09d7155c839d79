"""The kinds of places, by the scheme of their references."""

STORES: dict[str, str] = {
    "env": "authz.secretstores.env:EnvStore",
    "file": "authz.secretstores.file:FileStore",
    "vault": "authz.secretstores.vault:VaultStore",
    "aws-sm": "authz.secretstores.aws:AwsStore",
    "gcp-sm": "authz.secretstores.gcp:GcpStore",
    "azure-kv": "authz.secretstores.azure:AzureStore",
}
HINT = "use env:NAME, file:PATH, vault:PATH#KEY, aws-sm:NAME, gcp-sm:NAME or azure-kv:NAME"
"""For sentences about what should have been a reference."""
LOCAL_HINT = "use env:NAME or file:PATH"
"""The same for what opens a store, and so is in none."""
