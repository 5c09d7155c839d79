"""Who asks the key stores that are asked over HTTP."""

from collections.abc import Callable, Mapping

from authz.keys.backends import BackendError, Surroundings


def bearer(around: Surroundings, reference: str) -> Callable[[], Mapping[str, str]]:
    """A token by reference, read with each question: an agent beside the server renews it."""
    return lambda: {"Authorization": f"Bearer {_token(around, reference)}"}


def vault_token(
    around: Surroundings, reference: str, namespace: str | None
) -> Callable[[], Mapping[str, str]]:
    """As Vault wants it."""
    more = {} if namespace is None else {"X-Vault-Namespace": namespace}
    return lambda: {
        "X-Vault-Token": _token(around, reference),
        "X-Vault-Request": "true",
        **more,
    }


def _token(around: Surroundings, reference: str) -> str:
    try:
        return around.resolve(reference).decode("ascii").strip()
    except UnicodeDecodeError:
        # Not chained: the original quotes the secret.
        raise BackendError(f"{reference} is no token", reason="credentials") from None
