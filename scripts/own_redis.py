"""A Redis of a suite's own, let in by the line that docs/KUBERNETES.md gives to operators.

The service's user may do what stands there and no more, so a command that the service needs and the
page does not name shows itself in every suite that uses this.
"""

import pathlib
import re
import secrets
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
# Redis' own form of a user, with the password left open
USER_LINE = re.compile(r"^user cardproof on >PASSWORD .*$", re.M)
START_LIMIT_S = 60


class Redis:
    """The running server, in a folder that the caller removes; `enter` brings a command to its network."""

    def __init__(self, folder, program, port, address="127.0.0.1", enter=()):
        self.folder, self.program, self.enter = pathlib.Path(folder), program, list(enter)
        self.address, self.port, self.process = address, port, None
        self.password, self.own_password = secrets.token_urlsafe(), secrets.token_urlsafe()
        [user] = USER_LINE.findall((ROOT / "docs/KUBERNETES.md").read_text(encoding="utf-8"))
        settings = self.folder / "redis.conf"
        settings.write_text(
            f"bind {address}\nport {port}\ndir {self.folder}\nappendonly yes\nsave \"\"\nmaxmemory-policy noeviction\n"
            f"{user.replace('PASSWORD', self.password)}\nuser default on >{self.own_password} ~* &* +@all\n", encoding="utf-8")
        settings.chmod(0o600)
        self.start()

    def start(self):
        with (self.folder / "redis.log").open("ab") as log:
            self.process = subprocess.Popen([*self.enter, self.program, self.folder / "redis.conf"], stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log)
        until = time.monotonic() + START_LIMIT_S
        while self.say("PING").stdout.strip() != "PONG":
            if self.process.poll() is not None or time.monotonic() > until:
                self.stop()
                raise RuntimeError(f"Redis does not answer\n{(self.folder / 'redis.log').read_text(errors='replace')[-2000:]}")
            time.sleep(0.1)

    def say(self, *words):
        # by the environment: arguments are for everybody to see
        client = ["env", f"REDISCLI_AUTH={self.own_password}", str(pathlib.Path(self.program).with_name("redis-cli"))]
        return subprocess.run([*self.enter, *client, "-h", self.address, "-p", str(self.port), *words],
                              capture_output=True, text=True, check=False)

    def lines(self, *words):
        """The answer to a command, given as the server's administrator."""
        done = self.say(*words)
        if done.returncode != 0:
            raise RuntimeError(f"{words[0]}: {done.stdout}{done.stderr}")
        return done.stdout.split("\n")[:-1]

    def refused(self):
        """What the service's user asked for and may not do: the reason and the command of each."""
        entries = "\n".join(self.lines("ACL", "LOG"))
        return re.findall(r"^reason\n(.*)\n(?:.*\n)*?object\n(.*)$", entries, re.M)

    def url(self, database=0):
        """As the Secret behind `cache.redis.url` holds it."""
        return f"redis://cardproof:{self.password}@{self.address}:{self.port}/{database}"

    def stop(self):
        """As an outage: at once. What it was given is on the disk."""
        self.process.kill()
        self.process.wait()
