"""The container image as the Dockerfile lays it out, as a folder, and how it says it is started."""

import json
import pathlib
import re
import shutil
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")


def instruction(name):
    """The last instruction of this name, for that one counts."""
    return re.findall(rf"^{name} (.+)$", DOCKERFILE, re.M)[-1]


ENTRYPOINT = json.loads(instruction("ENTRYPOINT"))
COMMAND = json.loads(instruction("CMD"))
ENVIRONMENT = dict([instruction("ENV").split("=", 1)])


def lay_out(root, binary):
    """The files of the image, and the places that a container runtime mounts things at."""
    program = root / ENTRYPOINT[0].lstrip("/")
    linked = subprocess.run(["ldd", binary], check=True, capture_output=True, text=True).stdout
    files = {pathlib.Path(binary): program}
    files |= {pathlib.Path(name): root / name.lstrip("/") for name in re.findall(r"/\S+", linked)}
    authorities = pathlib.Path(ENVIRONMENT["SSL_CERT_FILE"])
    files[authorities] = root / str(authorities).lstrip("/")
    for source, target in files.items():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source.resolve(), target)
    for name in ("proc", "dev", "etc"):
        (root / name).mkdir(exist_ok=True)
    for name in ("dev/null", "dev/urandom"):
        (root / name).touch()
    for folder in [root, *root.rglob("*")]:
        if folder.is_dir():
            folder.chmod(0o755)
