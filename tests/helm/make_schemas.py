#!/usr/bin/env python3
"""Lays down what Kubernetes and the makers of the foreign kinds say about their objects.

    make_schemas.py FOLDER CORE-PACKAGE-VERSION

FOLDER/core/vVERSION holds the strict JSON schemas of Kubernetes itself, out of the package
kubernetes-validate; FOLDER/kinds/node_modules the validators and types of the kinds that operators
bring, out of the packages @kubernetes-models/*, and the compiler that reads the types.
"""

import glob
import json
import pathlib
import subprocess
import sys
import tempfile
import zipfile

HERE = pathlib.Path(__file__).resolve().parent
VERSIONS = json.loads((HERE / "versions.json").read_text(encoding="utf-8"))


def without_addresses(schema):
    """Without `$id`, a reference to a file beside this one stays a reference to that file."""
    schema.pop("$id", None)
    text = json.dumps(schema)
    return text.replace('"/api/_definitions.json#', '"_definitions.json#')


def core(folder, version):
    with tempfile.TemporaryDirectory() as wheels:
        subprocess.run(
            [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check",
             "--no-deps", "--dest", wheels, f"kubernetes-validate=={version}"], check=True)
        with zipfile.ZipFile(glob.glob(f"{wheels}/*.whl")[0]) as wheel:
            for kubernetes in VERSIONS["kubernetes"].values():
                start = f"kubernetes_validate/kubernetes-json-schema/v{kubernetes}-local-strict/"
                target = folder / "core" / f"v{kubernetes}"
                target.mkdir(parents=True)
                names = [name for name in wheel.namelist() if name.startswith(start) and name.endswith(".json")]
                if not names:
                    sys.exit(f"the package has no schemas of Kubernetes {kubernetes}")
                for name in names:
                    schema = json.loads(wheel.read(name))
                    (target / name[len(start):]).write_text(without_addresses(schema), encoding="utf-8")


def foreign(folder):
    kinds = folder / "kinds"
    kinds.mkdir()
    packages = [f"{name}@{version}" for name, version in VERSIONS["npm"].items()]
    subprocess.run(["npm", "install", "--prefix", str(kinds), "--no-save", "--no-audit", "--no-fund",
                    "--loglevel=error", *packages], check=True)


if __name__ == "__main__":
    core(pathlib.Path(sys.argv[1]), sys.argv[2])
    foreign(pathlib.Path(sys.argv[1]))
