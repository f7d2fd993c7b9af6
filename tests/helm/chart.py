"""Runs Helm on the chart; used by the tests and by update_golden.py."""

import os
import pathlib
import subprocess

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
CHART = ROOT / "helm/cardproof"
HERE = ROOT / "tests/helm"
NEWEST = "1.37.0"

# Which values files, one over the other, make which render.
CASES = {
    "default": [],
    "development": [CHART / "ci/development-values.yaml"],
    "production": [CHART / "ci/production-values.yaml"],
    "everything": [CHART / "ci/production-values.yaml", HERE / "everything-values.yaml"],
}


def helm(*arguments, values=None):
    """Runs Helm; `values` are further values, laid over all files. Returns the finished process."""
    command = [os.environ["HELM"], *map(str, arguments)]
    if values is not None:
        command += ["--values", "-"]
    return subprocess.run(command, input=None if values is None else yaml.safe_dump(values),
                          capture_output=True, text=True, check=False)


def template(case="default", kubernetes=NEWEST, values=None):
    files = [part for name in CASES[case] for part in ("--values", name)]
    return helm("template", "cardproof", CHART, "--namespace", "cardproof",
                "--kube-version", kubernetes, *files, values=values)
