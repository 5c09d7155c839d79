"""Hardware security modules, by their PKCS#11 library (OASIS PKCS#11 v2.40 and later).

A key is found by its CKA_ID, which is random and is the reference. One session for all threads: a session does one
thing at a time, so signatures wait for each other, as they would inside most modules anyhow. A session that broke is
opened again with the next signature; a module that was restarted is taken up by itself.

Decisions:
- The PIN is read when a session is opened. One that the module refused is not tried again until the secret is another:
  modules lock themselves after a few.
- A module that hangs has one caller that waits for it; the others are told at the deadline.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pkcs11
from asn1crypto.core import OctetString
from pkcs11 import Attribute, KeyType, Mechanism, MechanismFlag, ObjectClass
from pkcs11.exceptions import (
    NoSuchKey,
    NoSuchToken,
    PinExpired,
    PinIncorrect,
    PinInvalid,
    PinLenRange,
    PinLocked,
    PKCS11Error,
    UserAlreadyLoggedIn,
)
from pkcs11.util.ec import encode_named_curve_parameters

from authz import entropy
from authz.errors import ConfigurationError
from authz.keys.backends import DEADLINE, BackendError, Surroundings
from authz.keys.backends.formats import digest, malformed, of_modulus, of_point
from authz.settings import Pkcs11 as Settings

_ID_BYTES = 16
_RSA_BITS = 2048
_REFUSALS = (PinExpired, PinIncorrect, PinInvalid, PinLenRange, PinLocked)


class Pkcs11:
    """One token of one module."""

    def __init__(self, around: Surroundings) -> None:
        settings = around.settings.pkcs11
        if settings.module is None or settings.token is None or settings.pin is None:
            raise ConfigurationError(
                "pkcs11.module, pkcs11.token and pkcs11.pin name the library, the token's label and its PIN; set them"
            )
        self._settings: Settings = settings
        self._pin_reference = settings.pin
        self._resolve = around.resolve
        self._refused_pin: str | None = None
        """Its digest."""
        self._lock = threading.Lock()
        self._session: Any = None
        self._keys: dict[str, Any] = {}

    def create(self, label: str, algorithm: str) -> str:
        """A key pair whose private half is sensitive and cannot be extracted."""
        identifier = entropy.new_key(_ID_BYTES)
        kept: dict[str, Any] = {
            "id": identifier,
            "label": label,
            "store": True,
            "capabilities": MechanismFlag.SIGN | MechanismFlag.VERIFY,
            "private_template": {Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False},
        }

        def work(session: Any) -> None:
            if algorithm == "ES256":
                curve = {Attribute.EC_PARAMS: encode_named_curve_parameters("secp256r1")}
                parameters = session.create_domain_parameters(KeyType.EC, curve, local=True)
                parameters.generate_keypair(mechanism=Mechanism.EC_KEY_PAIR_GEN, **kept)
            else:
                session.generate_keypair(KeyType.RSA, _RSA_BITS, **kept)

        self._with_session(work)
        return identifier.hex()

    def public_key(self, reference: str) -> bytes:
        """From the attributes of the public object."""

        def work(session: Any) -> bytes:
            key = session.get_key(object_class=ObjectClass.PUBLIC_KEY, id=_identifier(reference))
            if key.key_type == KeyType.RSA:
                return of_modulus(key[Attribute.MODULUS], key[Attribute.PUBLIC_EXPONENT])
            point = OctetString.load(bytes(key[Attribute.EC_POINT])).native
            # Uncompressed: a four, then both coordinates.
            if len(point) != 65 or point[0] != 4:
                raise malformed()
            return of_point(point[1:33], point[33:])

        return self._with_session(work)  # type: ignore[no-any-return]

    def sign(self, reference: str, algorithm: str, data: bytes) -> bytes:
        """PKCS#11 answers ECDSA as the two numbers side by side, like JWS."""

        def work(session: Any) -> bytes:
            key = self._keys.get(reference)
            if key is None:
                key = session.get_key(
                    object_class=ObjectClass.PRIVATE_KEY, id=_identifier(reference)
                )
                self._keys[reference] = key
            if algorithm == "ES256":
                return bytes(key.sign(digest(data), mechanism=Mechanism.ECDSA))
            return bytes(key.sign(data, mechanism=Mechanism.SHA256_RSA_PKCS))

        return self._with_session(work)  # type: ignore[no-any-return]

    def close(self) -> None:
        """End the session; what it logged in is logged out."""
        with self._held():
            self._drop()

    @contextmanager
    def _held(self) -> Iterator[None]:
        if not self._lock.acquire(timeout=DEADLINE.total_seconds()):
            raise BackendError("the module does not answer", reason="module_hangs")
        try:
            yield
        finally:
            self._lock.release()

    def _with_session(self, work: Any) -> Any:
        with self._held():
            fresh = self._session is None
            try:
                return work(self._opened())
            except NoSuchKey:
                self._drop()
                raise BackendError("the module has no such key", reason="key_unknown") from None
            except PKCS11Error as error:
                self._drop()
                if fresh:
                    raise _explained(error) from error
            # The session was an old one: the module may have been restarted since.
            try:
                return work(self._opened())
            except PKCS11Error as error:
                self._drop()
                raise _explained(error) from error

    def _opened(self) -> Any:
        if self._session is None:
            pin = self._pin()
            try:
                module = pkcs11.lib(str(self._settings.module))
                token = module.get_token(token_label=self._settings.token)
                try:
                    self._session = token.open(rw=True, user_pin=pin)
                except _REFUSALS:
                    self._refused_pin = entropy.digest(pin)
                    raise _pin_refused() from None
                except UserAlreadyLoggedIn:
                    # A login is of the whole process; this session shares that of another one.
                    self._session = token.open(rw=True)
            except NoSuchToken as error:
                raise self._without_token() from error
            except PKCS11Error:
                raise
            except (RuntimeError, OSError) as error:
                # The library could not be loaded.
                raise self._without_token() from error
        return self._session

    def _pin(self) -> str:
        try:
            pin = self._resolve(self._pin_reference).decode()
        except UnicodeDecodeError:
            raise BackendError(
                "pkcs11.pin names a secret that is no text in UTF-8", reason="pin_malformed"
            ) from None
        if entropy.digest(pin) == self._refused_pin:
            raise _pin_refused()
        return pin

    def _without_token(self) -> BackendError:
        return BackendError(
            f"the module {self._settings.module} has no token {self._settings.token!r} that can be opened",
            reason="token_unavailable",
        )

    def _drop(self) -> None:
        session, self._session = self._session, None
        self._keys.clear()
        if session is not None:
            try:
                session.close()
            except PKCS11Error:
                return


def _identifier(reference: str) -> bytes:
    try:
        return bytes.fromhex(reference)
    except ValueError:
        raise BackendError(
            "a key of a module is named by its CKA_ID in hexadecimal digits", reason="reference"
        ) from None


def _pin_refused() -> BackendError:
    return BackendError("the module refused the PIN", reason="pin_refused")


def _explained(error: PKCS11Error) -> BackendError:
    return BackendError(f"the module failed: {type(error).__name__}", reason="module_failed")
