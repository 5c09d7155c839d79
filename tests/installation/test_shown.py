"""ATK-66, V7: which settings somebody else may see."""

import json

from authz.installation.shown import SET, shown_settings
from authz.settings import load

WORD = "hunter2"


def test_settings_are_shown_by_their_kind(tmp_path):
    (tmp_path / "authz.toml").touch()
    hooks = {"name": "chat", "kind": "webhook", "secret": "env:HOOK"}
    client = {"id": "cli", "name": WORD, "auth_method": "client_secret_post", "secret": "env:S"}
    given = {
        "server": {
            "issuer": "https://as.example/team",
            "trusted_proxies": ["10.0.0.7", WORD],
        },
        "database": {
            "url": f"postgresql://joe:{WORD}@a:1,b:2/authz?sslmode=verify-full&passfile={WORD}"
        },
        "network": {"proxy": f"http://joe:{WORD}@proxy:3128"},
        "pkcs11": {"token": WORD, "pin": "vault:hsm#pin", "module": "/usr/lib/hsm.so"},
        "aws_kms": {"endpoint": f"https://x?word={WORD}@host"},
        "gcp_kms": {"endpoint": f"https://x/{WORD}@host"},
        "vault": {"address": "https://vault:8200", "token": "file:token", "role_id": WORD},
        "keys": {"further_encryption_keys": ["env:OLD"], "backend": "pkcs11"},
        "audit": {"sink": [{**hooks, "url": f"https://hooks.example:8443/T0/{WORD}"}]},
        "client": [{**client, "redirect_uris": [f"https://{WORD}@app.example/"]}],
    }
    settings = load(tmp_path / "authz.toml", environment={}, overrides=given)
    shown = shown_settings(settings)
    assert WORD not in json.dumps(shown)
    assert "joe" not in json.dumps(shown)
    assert shown["server"]["issuer"] == "https://as.example"
    assert shown["server"]["trusted_proxies"] == ["10.0.0.7", SET]
    assert shown["database"]["url"].startswith("postgresql+psycopg:///authz?host=a")
    assert "sslmode=verify-full" in shown["database"]["url"]
    assert shown["network"]["proxy"] == "http://proxy:3128"
    assert shown["pkcs11"] == {"token": SET, "pin": "vault:hsm#pin", "module": "/usr/lib/hsm.so"}
    assert shown["aws_kms"]["endpoint"] == shown["gcp_kms"]["endpoint"] == SET
    assert shown["vault_transit"]["mount"] == "transit"  # nobody set it
    assert (shown["vault"]["auth"], shown["vault"]["role_id"]) == ("token", SET)
    assert shown["keys"]["further_encryption_keys"] == ["env:OLD"]
    assert (shown["keys"]["backend"], shown["tokens"]["access_token"]) == ("pkcs11", 600)
    [sink] = shown["audit"]["sink"]
    assert (sink["name"], sink["url"]) == ("chat", "https://hooks.example:8443")
    [found] = shown["client"]
    assert (found["id"], found["name"], found["secret"]) == ("cli", SET, "env:S")
    # Every reference, as `doctor` names it, and with nothing in place of it.
    assert all(json.dumps(it) in json.dumps(shown) for _, it in settings.references())
