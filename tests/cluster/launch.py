"""Becomes one container: mounts, a root of its own, the user, no rights. Called by node.py within
namespaces for mounts and network: launch.py SPEC.json

What a container runtime does with a pod's securityContext, in the order in which it does it. It
writes what it found out about the root to the report file before it becomes the program.
"""

import ctypes
import errno
import json
import os
import pathlib
import subprocess
import sys

PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 24, 38
LAST_CAPABILITY = 40


def mount(*arguments):
    subprocess.run(["mount", *arguments], check=True)


def main(spec):
    root = pathlib.Path(spec["root"])
    for command in spec["attach"]:
        subprocess.run(command, check=True, env={"PATH": os.environ["PATH"] + ":/usr/sbin:/sbin"})
    mount("--make-rprivate", "/")
    mount("--bind", root, root)
    mount("-t", "proc", "proc", root / "proc")
    for device in ("null", "urandom"):
        mount("--bind", f"/dev/{device}", root / "dev" / device)
    for source, target, read_only in spec["mounts"]:
        place = root / target.lstrip("/")
        mount("--bind", source, place)
        if read_only:
            mount("-o", "remount,bind,ro", place)
    if spec["read_only_root"]:
        mount("-o", "remount,bind,ro", root)
    os.chroot(root)
    os.chdir("/")
    # still as root, so that nothing but the mount itself can refuse
    report = {"root_written": writable("/written"),
              "mounts_written": [target for _, target, _ in spec["mounts"] if writable(target + "/written")]}
    os.write(spec["report"], json.dumps(report).encode())
    os.close(spec["report"])

    prctl = ctypes.CDLL(None, use_errno=True).prctl
    if spec["drop_all"]:
        for capability in range(LAST_CAPABILITY + 1):
            if prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0 and ctypes.get_errno() != errno.EINVAL:
                raise OSError(ctypes.get_errno(), "PR_CAPBSET_DROP")
    os.setgroups(spec["groups"])
    os.setresgid(spec["group"], spec["group"], spec["group"])
    os.setresuid(spec["user"], spec["user"], spec["user"])
    if not spec["may_gain_rights"] and prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "PR_SET_NO_NEW_PRIVS")
    os.execve(spec["arguments"][0], spec["arguments"], spec["environment"])


def writable(path):
    try:
        with open(path, "w", encoding="utf-8"):
            pass
        os.unlink(path)
        return True
    except OSError as error:
        if error.errno != errno.EROFS:
            raise
        return False


if __name__ == "__main__":
    main(json.loads(pathlib.Path(sys.argv[1]).read_text(encoding="utf-8")))
