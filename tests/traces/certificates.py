"""An authority of a test's own, and what it signed for a collector and for its clients."""

import pathlib
import ssl
import subprocess
import tempfile

KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2")


class Certificates:
    """PEM files: ca.crt, server.crt, server.key, client.crt, client.key."""

    def __init__(self):
        self.opened = tempfile.TemporaryDirectory()
        self.folder = pathlib.Path(self.opened.name)
        self.make("ca", "basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign")
        signed = ("-CA", self.file("ca.crt"), "-CAkey", self.file("ca.key"))
        self.make("server", "subjectAltName=IP:127.0.0.1", "basicConstraints=critical,CA:FALSE", more=signed)
        self.make("client", "extendedKeyUsage=clientAuth", "basicConstraints=critical,CA:FALSE", more=signed)

    def make(self, name, *extensions, more=()):
        added = [part for extension in extensions for part in ("-addext", extension)]
        subprocess.run(["openssl", "req", "-x509", *KEY, "-subj", f"/CN={name}", *added, *more,
                        "-keyout", self.file(f"{name}.key"), "-out", self.file(f"{name}.crt")], check=True, capture_output=True)

    def file(self, name):
        return str(self.folder / name)

    def read(self, name):
        return (self.folder / name).read_bytes()

    def context(self):
        """For a server over HTTP that asks its clients for a certificate."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=self.file("ca.crt"))
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_cert_chain(self.file("server.crt"), self.file("server.key"))
        return context

    def close(self):
        self.opened.cleanup()
