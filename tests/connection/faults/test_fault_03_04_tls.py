"""Faults 3 and 4: the wrong certificate, the wrong scheme; and the files an endpoint names."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from kbtui.connection import ConnectionState, Endpoint, FatalConnectError, StateChanged
from tests.connection.support import Peer, http, raw_server, service_for
from tests.connection.tls import make_files

S = ConnectionState


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return make_files(tmp_path_factory.mktemp("tls"))


@pytest.fixture(params=["kbv2", "native"])
def secure(request, files):
    """Makes peers that serve TLS, in both modes in turn."""
    return lambda *names, **more: Peer(
        native=request.param == "native", ssl=files.serving(*names, **more)
    )


async def failure_with(endpoint):
    async with service_for(endpoint) as (service, record):
        with pytest.raises(FatalConnectError) as failure:
            await service.connect()
        assert record.of(StateChanged)[-1].attempt == 1, "retrying cures nothing"
        return str(failure.value)


async def test_fault_03_an_authority_that_nobody_trusts(secure):
    async with secure("127.0.0.1") as peer:
        assert "certificate cannot be trusted" in await failure_with(Endpoint(peer.url))


async def test_fault_03_another_authority(secure, tmp_path):
    async with secure("127.0.0.1") as peer:
        endpoint = Endpoint(peer.url, ca_file=make_files(tmp_path).ca_file)
        assert "certificate cannot be trusted" in await failure_with(endpoint)


async def test_fault_03_another_host_name(secure, files):
    async with secure("kb.example.org", "10.0.0.1") as peer:
        said = await failure_with(Endpoint(peer.url, ca_file=files.ca_file))
        assert "check the host name" in said
        assert "127.0.0.1" in said


async def test_fault_03_a_certificate_that_went_bad_while_we_were_connected(secure, files):
    async with (
        secure("127.0.0.1") as peer,
        service_for(Endpoint(peer.url, ca_file=files.ca_file)) as (service, rec),
    ):
        await service.connect()
        await peer.stop()
        peer.ssl = files.serving("kb.example.org")
        await peer.start()
        await rec.until_state(S.FAILED)
        await asyncio.sleep(3600)
        assert service.epoch == 1


async def test_fault_03_the_named_authority_alone_is_trusted(secure, files):
    async with (
        secure("127.0.0.1") as peer,
        service_for(Endpoint(peer.url, ca_file=files.ca_file)) as (service, _),
    ):
        await service.connect()
        assert (await service.request("a", {})).result == "done"
        assert service.url.startswith("wss://")


@pytest.mark.parametrize("separate", [False, True])
async def test_fault_03_a_client_certificate_opens_the_door(secure, files, separate):
    async with secure("127.0.0.1", ask_client=True) as peer:
        endpoint = Endpoint(peer.url, ca_file=files.ca_file)
        if separate:
            known = replace(
                endpoint, client_certificate=files.certificate_only, client_key=files.key_only
            )
        else:
            known = replace(endpoint, client_certificate=files.client_certificate)
        async with service_for(known) as (service, _):
            await service.connect()
            assert (await service.request("a", {})).result == "done"


async def test_fault_03_files_that_cannot_be_used_are_named(files, tmp_path):
    url = "wss://127.0.0.1:1/ws"
    missing, text = tmp_path / "missing.pem", tmp_path / "text.pem"
    text.write_text("no certificate")
    locked = tmp_path / "locked.pem"
    key = serialization.load_pem_private_key(files.key_only.read_bytes(), None)
    locked.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    certificate = files.certificate_only
    for endpoint, *said in (
        (Endpoint(url, ca_file=missing), str(missing), "no such file"),
        (Endpoint(url, ca_file=text), str(text), "no certificate"),
        (Endpoint(url, ca_file=tmp_path), str(tmp_path), "CA file"),
        (Endpoint(url, client_certificate=missing), str(missing), "no such file"),
        (Endpoint(url, client_certificate=certificate, client_key=text), str(text), "PEM"),
        (Endpoint(url, client_certificate=certificate, client_key=locked), "passphrase"),
        (Endpoint(url, client_key=files.key_only), str(files.key_only), "name both"),
        (Endpoint("ws://127.0.0.1:1/ws", ca_file=files.ca_file), "does not begin with wss://"),
    ):
        sentence = await failure_with(endpoint)
        for part in said:
            assert part in sentence
        assert "\n" not in sentence


async def test_fault_03_a_renewed_file_counts_at_the_next_attempt(secure, files, tmp_path):
    authority = tmp_path / "ca.pem"
    make_files(tmp_path)
    async with (
        secure("127.0.0.1") as peer,
        service_for(Endpoint(peer.url, ca_file=authority)) as (service, rec),
    ):
        service.start()
        await rec.until_state(S.FAILED)
        authority.write_bytes(Path(files.ca_file).read_bytes())
        await service.connect()


async def test_fault_04_wss_to_a_plain_port(peer):
    async with service_for(peer.url.replace("ws://", "wss://")) as (service, record):
        with pytest.raises(FatalConnectError, match="should begin with wss:// or with ws://"):
            await service.connect()
        assert record.of(StateChanged)[-1].attempt >= 3


async def test_fault_04_wss_to_a_plain_port_that_says_so():
    reply = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"

    def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(reply)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    url = f"wss://127.0.0.1:{server.sockets[0].getsockname()[1]}/ws"
    async with service_for(url) as (service, record):
        with pytest.raises(FatalConnectError, match="try ws:// in place of wss://"):
            await service.connect()
        assert record.of(StateChanged)[-1].attempt == 3
    server.close()
    await server.wait_closed()


async def test_fault_04_ws_to_a_tls_port(secure):
    async with (
        secure("127.0.0.1") as peer,
        service_for(peer.url.replace("wss://", "ws://")) as (service, record),
    ):
        with pytest.raises(FatalConnectError, match=r"wss://"):
            await service.connect()
        assert record.of(StateChanged)[-1].attempt >= 3


async def test_fault_04_no_http_at_all():
    async with raw_server(b"220 mail.example.org ESMTP\r\n") as url, service_for(url) as (s, rec):
        with pytest.raises(FatalConnectError, match="try ws:// in place of wss://"):
            await s.connect()
        assert rec.of(StateChanged)[-1].attempt == 3


async def test_fault_08_never_from_wss_to_ws(secure, files):
    async with secure("127.0.0.1") as peer, Peer() as plain:
        peer.on_request = lambda connection, request: http(307, Location=plain.url)
        said = await failure_with(Endpoint(peer.url, ca_file=files.ca_file))
        assert "non-secure" in said
        assert not plain.handshakes
