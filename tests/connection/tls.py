"""Certificates made for a test, and a peer that serves `wss://` with them."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

import trustme


@dataclass(frozen=True)
class Files:
    """An authority, a server's certificate for 127.0.0.1, and a client's, as PEM files.

    `client_certificate` holds the client's key too; `certificate_only` and `key_only` are its
    parts.
    """

    authority: trustme.CA
    ca_file: Path
    client_certificate: Path
    certificate_only: Path
    key_only: Path

    def serving(self, *names: str, ask_client: bool = False) -> ssl.SSLContext:
        """A server's context for `names`, which may insist on a certificate of the client."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.authority.issue_cert(*names).configure_cert(context)
        if ask_client:
            context.verify_mode = ssl.CERT_REQUIRED
            self.authority.configure_trust(context)
        return context


def make_files(folder: Path) -> Files:
    """A fresh authority and its files in `folder`."""
    authority = trustme.CA()
    files = Files(
        authority,
        *(folder / name for name in ("ca.pem", "client.pem", "client-cert.pem", "client-key.pem")),
    )
    client = authority.issue_cert("kbtui@example.org")
    authority.cert_pem.write_to_path(files.ca_file)
    client.private_key_and_cert_chain_pem.write_to_path(files.client_certificate)
    client.cert_chain_pems[0].write_to_path(files.certificate_only)
    client.private_key_pem.write_to_path(files.key_only)
    return files
