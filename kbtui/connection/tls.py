"""The TLS side of an endpoint: whom to trust, and how to prove who we are."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, NoReturn

from kbtui.connection.errors import FatalConnectError

if TYPE_CHECKING:
    from pathlib import Path

    from kbtui.connection.endpoint import Endpoint


def client_context(endpoint: Endpoint) -> ssl.SSLContext | None:
    """The context for `endpoint`'s files; None where it names none, so that defaults hold.

    With `ca_file` that authority alone is trusted. Raises FatalConnectError with a sentence that
    names the file which cannot be used.
    """
    if endpoint.client_key is not None and endpoint.client_certificate is None:
        raise FatalConnectError(
            f"The client key {endpoint.client_key} is given without a client certificate: "
            "name both."
        )
    if endpoint.ca_file is None and endpoint.client_certificate is None:
        return None
    if not endpoint.url.lower().startswith("wss://"):
        raise FatalConnectError(
            "TLS files are given, but the server's URL does not begin with wss://: nothing would "
            "be encrypted."
        )
    context = ssl.create_default_context()
    if endpoint.ca_file is not None:
        context = _trusting(endpoint.ca_file)
    if endpoint.client_certificate is not None:
        _load_certificate(context, endpoint.client_certificate, endpoint.client_key)
    return context


def _trusting(ca_file: Path) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ValueError) as error:
        raise FatalConnectError(
            f"The CA file {ca_file} cannot be used ({_why(error)}): it must be a readable PEM file "
            "with the certificates to trust."
        ) from None


def _load_certificate(context: ssl.SSLContext, certificate: Path, key: Path | None) -> None:
    try:
        context.load_cert_chain(certificate, key, password=_no_password)
    except (OSError, ValueError) as error:
        files = f"{certificate}" if key is None else f"{certificate} with the key {key}"
        raise FatalConnectError(
            f"The client certificate {files} cannot be used ({_why(error)}): both must be readable "
            "PEM files that belong together, the key without a passphrase."
        ) from None


def _no_password() -> NoReturn:
    # Without this OpenSSL asks on the terminal, which belongs to the app.
    raise ValueError("the key has a passphrase")


def _why(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        # OpenSSL says nothing of a file that is no PEM at all.
        return (error.reason or "no PEM data").replace("_", " ").lower()
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return str(error)
