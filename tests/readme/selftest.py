#!/usr/bin/env python3
"""Shows check.py a README that is right and many that are wrong: a checker that cannot fail proves
nothing. The programs that the sessions call are the stand-ins in fixture/bin."""

import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "scripts"))
from serving import free_ports, is_free  # noqa: E402  (the folder must be known first)

RIGHT = (HERE / "fixture/README.md").read_text(encoding="utf-8")


class CheckerTest(unittest.TestCase):
    def check(self, text, fault="", ports=None):
        """Runs the checker on this text: (exit code, all that it printed)."""
        self.ports = ports or free_ports(2)
        grpc, admin = map(str, self.ports)
        environment = dict(os.environ, FIXTURE_PORTS=f"{grpc} {admin}", FIXTURE_FAULT=fault)
        environment["PATH"] = f"{HERE / 'fixture/bin'}:{environment['PATH']}"
        with tempfile.TemporaryDirectory() as folder:
            readme = pathlib.Path(folder) / "README.md"
            readme.write_text(text, encoding="utf-8")
            done = subprocess.run(
                [sys.executable, str(HERE / "check.py"), "--grpc-port", grpc, "--admin-port", admin, str(readme)],
                env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                text=True, timeout=60, check=False,
            )
        return done.returncode, done.stdout

    def changed(self, old, new):
        """The right README with one place changed."""
        self.assertEqual(RIGHT.count(old), 1, f"the fixture should hold this once: {old}")
        return RIGHT.replace(old, new)

    def assert_fails(self, text, *said, **options):
        """The checker refuses this text and says these things."""
        code, printed = self.check(text, **options)
        self.assertEqual(code, 1, printed)
        for words in said:
            self.assertIn(words, printed)

    def test_a_right_readme_passes_with_every_command_counted(self):
        code, printed = self.check(RIGHT)
        self.assertEqual(code, 0, printed)
        self.assertIn("readme: 6 passed, 0 failed", printed)

    def test_the_server_is_stopped_at_the_end(self):
        self.check(RIGHT)
        self.assertTrue(all(is_free(port) for port in self.ports))

    def test_a_changed_word_fails_with_a_diff_and_the_others_still_run(self):
        wrong = self.changed('"verdict": "VERDICT_MATCH"', '"verdict": "VERDICT_MISMATCH"')
        self.assert_fails(
            wrong, '-  "verdict": "VERDICT_MISMATCH"', '+  "verdict": "VERDICT_MATCH"', "readme: 5 passed, 1 failed"
        )

    def test_a_changed_command_fails(self):
        self.assert_fails(self.changed('"bank_card": "4000000000000002"', '"bank_card": "4000000000000003"'), "FAILED")

    def test_an_invented_line_fails(self):
        self.assert_fails(self.changed("grpc.health.v1.Health\n", "grpc.health.v1.Health\nmore\n"), "-more")

    def test_a_line_left_out_fails(self):
        self.assert_fails(self.changed("grpc.health.v1.Health\n", ""), "+grpc.health.v1.Health")

    def test_a_line_too_many_from_the_program_fails(self):
        self.assert_fails(RIGHT, "+grpc.reflection.v1.ServerReflection", fault="chatty")

    def test_a_silent_program_fails(self):
        self.assert_fails(RIGHT, "-grpc.health.v1.Health", fault="silent")

    def test_what_a_command_without_shown_lines_prints_fails(self):
        self.assert_fails(self.changed("it ended with 67\n", ""), "+it ended with 67")

    def test_standard_error_and_the_exit_code_count(self):
        self.assert_fails(self.changed("Code: InvalidArgument", "Code: NotFound"), "+  Code: InvalidArgument")
        self.assert_fails(self.changed("it ended with 67", "it ended with 0"), "+it ended with 67")

    def test_dots_stand_for_lines_between_and_for_nothing_else(self):
        self.assert_fails(self.changed("service BankCardService {\n", "service CardService {\n"), "FAILED")
        code, printed = self.check(self.changed("   ...\n", "   ...\n     rpc QueryCardInfo;\n"))
        self.assertEqual(code, 0, printed)
        self.assert_fails(self.changed("   ...\n", "   ...\n     rpc Delete;\n   ...\n"), "FAILED")

    def test_a_time_must_still_be_a_time(self):
        self.assert_fails(self.changed('"2001-02-03T04:05:06.789Z"', '"yesterday"'), '-  "answeredAt": "yesterday"')

    def test_a_line_that_the_server_does_not_log_fails(self):
        self.assert_fails(self.changed("listening on", "waiting on"), "-waiting on")

    def test_a_server_that_ends_at_once_fails(self):
        self.assert_fails(RIGHT, "ended with code 1 before it served", "no such configuration", fault="dies")

    def test_a_taken_port_is_named(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            self.assert_fails(RIGHT, f"port {port} of 127.0.0.1 is taken", ports=[port, *free_ports(1)])

    def test_a_readme_with_nothing_to_run_fails(self):
        self.assert_fails(RIGHT.replace("```console", "```text"), "nothing to check")
        self.assert_fails("```console\n```\n", "a session without a command")
        self.assert_fails("```console\nlist\n$ true\n```\n", "a session starts with a command")

    def test_a_block_or_a_command_without_an_end_fails(self):
        self.assert_fails("```console\n$ true\n", "has no end")
        self.assert_fails("```console\n$ echo 'open\n```\n", "the command has no end")

    def test_a_command_that_ends_the_shell_fails(self):
        self.assert_fails("```console\n$ exit 0\n```\n", "the shell ended in: exit 0")


if __name__ == "__main__":
    unittest.main()
