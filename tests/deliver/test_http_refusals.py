"""What the HTTP client refuses to talk to: inner addresses in every spelling, strange URLs, unknown certificates."""

import asyncio
import datetime
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from segue.core.destination import Request, Response
from segue.deliver.addresses import address_policy
from segue.deliver.easy import is_own_address
from segue.deliver.http import HttpClient
from tests.deliver.vendor import FINE, making, serving


def certificate(folder: Path) -> tuple[ssl.SSLContext, str]:
    """A server context with a self-signed certificate for localhost, and the path of the certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "certificate.pem"
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key_path = folder / "key.pem"
    key_path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path, key_path)
    return context, str(path)


async def test_a_certificate_that_nobody_vouches_for_is_a_tls_error(client: HttpClient, tmp_path: Path) -> None:
    context, _ = certificate(tmp_path)
    async with serving(FINE, context) as server:
        response = await client.send(Request(url=server.url(host="localhost"), body=b"secret"))
        assert (response.status, response.error) == (0, "ETLS")
        assert server.requests == []


async def test_a_trusted_certificate_is_good_for_its_own_name_only(tmp_path: Path) -> None:
    context, path = certificate(tmp_path)
    async with serving(FINE, context) as server, making(ca_file=path) as trusting:
        for _ in range(3):
            assert (await trusting.send(Request(url=server.url(host="localhost"), body=b"x"))).status == 200
        assert server.connections == 1
        other = await trusting.send(Request(url=server.url(), body=b"x"))
        assert (other.status, other.error) == (0, "ETLS")


async def test_tls_spoken_to_a_plain_server_is_a_tls_error(client: HttpClient) -> None:
    async def no_tls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    plain = await asyncio.start_server(no_tls, "127.0.0.1", 0)
    port = plain.sockets[0].getsockname()[1]
    response = await client.send(Request(url=f"https://127.0.0.1:{port}/"))
    plain.close()
    assert (response.status, response.error) == (0, "ETLS")


HIDDEN = [
    "127.0.0.1",
    "localhost",
    "0x7f.1",
    "127.1",
    "2130706433",
    "0177.0.0.1",
    "[::ffff:127.0.0.1]",
    "[::1]",
    "0.0.0.0",
]


@pytest.mark.parametrize("host", HIDDEN)
async def test_this_machine_is_refused_in_every_spelling(host: str) -> None:
    async with serving(FINE) as server, making(address_policy()) as strict:
        response = await strict.send(Request(url=server.url(host=host), body=b"x"))
        assert (response.status, response.error) == (0, "ADDRESS_REFUSED")
        assert server.connections == 0


async def test_the_metadata_service_is_refused() -> None:
    async with making(address_policy()) as strict:
        for host in ("169.254.169.254", "[fd00:ec2::254]", "[64:ff9b::a9fe:a9fe]", "10.0.0.1", "192.168.0.1"):
            response = await strict.send(Request(url=f"http://{host}/latest/meta-data"))
            assert response.error == "ADDRESS_REFUSED"


@pytest.mark.parametrize(
    "url", ["ftp://127.0.0.1/", "file:///etc/passwd", "http://u:p@127.0.0.1/", "//x", "http://a b/"]
)
async def test_a_url_of_another_kind_is_refused(client: HttpClient, url: str) -> None:
    assert await client.send(Request(url=url)) == Response(status=0, error="ADDRESS_REFUSED")


async def test_a_sandbox_is_reached_by_address_and_by_name_and_its_neighbour_is_not() -> None:
    async with serving(FINE) as sandbox, serving(FINE) as neighbour:
        strict = HttpClient(address_policy(sandboxes=[("127.0.0.1", sandbox.port)]))
        assert (await strict.send(Request(url=sandbox.url()))).status == 200
        assert (await strict.send(Request(url=sandbox.url(host="localhost")))).status == 200
        assert (await strict.send(Request(url=neighbour.url()))).error == "ADDRESS_REFUSED"
        strict.close()


async def test_a_host_allowed_by_name_is_not_reached_by_another_spelling() -> None:
    async with serving(FINE) as server:
        by_name = HttpClient(address_policy(allow_internal=f"localhost:{server.port}"))
        assert (await by_name.send(Request(url=server.url(host="LOCALHOST")))).status == 200
        assert (await by_name.send(Request(url=server.url()))).error == "ADDRESS_REFUSED"
        assert (await by_name.send(Request(url=server.url(host="localhost")))).status == 200
        by_name.close()


@pytest.mark.parametrize("listening", ["127.0.0.1", "0.0.0.0"])
async def test_the_collector_is_refused_although_everything_is_allowed(listening: str) -> None:
    async with serving(FINE) as collector:
        policy = address_policy(allow_internal="0.0.0.0/0,::/0", collectors=[(listening, collector.port)])
        async with making(policy) as client:
            for host in ("127.0.0.1", "localhost", "0x7f.1"):
                response = await client.send(Request(url=collector.url(host=host)))
                assert response.error in ("ADDRESS_REFUSED", "ECONNREFUSED")
        assert collector.connections == 0


def test_an_own_address_is_told_from_others() -> None:
    assert is_own_address("127.0.0.1")
    assert not is_own_address("192.0.2.1")
    assert not is_own_address("not an address")


async def test_the_environment_names_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with serving(FINE) as server, making() as client:
        assert (await client.send(Request(url=server.url()))).status == 200
