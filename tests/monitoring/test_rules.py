"""The alert rules and the dashboard, as far as they can be judged without a running service."""

import os
import pathlib
import re
import subprocess
import tomllib
import unittest

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
RULES = ROOT / "helm/cardproof/files/rules.yaml"
RUNBOOK = (ROOT / "docs/RUNBOOK.md").read_text(encoding="utf-8")
ALERTS = {rule["alert"]: rule for group in yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
          for rule in group["rules"] if "alert" in rule}
# what must be watched, by the name of its alert
WANTED = {
    "CardproofVendorErrors", "CardproofBreakerOpen", "CardproofProviderMisconfigured", "CardproofSpendingFast",
    "CardproofChargesUnknown", "CardproofGuardRefusals", "CardproofCardTesting", "CardproofCacheHitRatioLow",
    "CardproofLatencyBurnFast", "CardproofLatencyBurnSlow", "CardproofCertificateExpires", "CardproofBudgetNearlySpent",
    "CardproofRedisDegraded", "CardproofRedisDown",
}


def run(*command):
    return subprocess.run([str(part) for part in command], cwd=ROOT, capture_output=True, text=True, check=False)


class Rules(unittest.TestCase):
    def test_promtool(self):
        for arguments in (("check", "rules", RULES), ("test", "rules", "tests/monitoring/rules_test.yaml")):
            done = run(os.environ["PROMTOOL"], *arguments)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_every_alert_is_tested_both_ways(self):
        tests = yaml.safe_load((ROOT / "tests/monitoring/rules_test.yaml").read_text(encoding="utf-8"))["tests"]
        raised, silent = set(), set()
        for test in tests:
            names = {name for series in test["input_series"] for name in re.findall(r'namespace="(\w+)"', series["series"])}
            for entry in test["alert_rule_test"]:
                alerts = entry.get("exp_alerts", [])
                if alerts:
                    raised.add(entry["alertname"])
                if names - {alert["exp_labels"].get("namespace") for alert in alerts}:
                    silent.add(entry["alertname"])
        self.assertEqual(raised, set(ALERTS))
        self.assertEqual(silent, set(ALERTS))

    def test_all_that_must_be_watched_is(self):
        self.assertEqual(WANTED - set(ALERTS), set())

    def test_every_alert_has_its_section_in_the_runbook(self):
        sections = re.findall(r"^### (\w+)\n\n\*(\w+)\.\*", RUNBOOK, re.M)
        self.assertEqual({name for name, _ in sections}, set(ALERTS))
        self.assertEqual(len(re.findall(r"^### ", RUNBOOK, re.M)), len(ALERTS))
        for name, severity in sections:
            self.assertEqual(ALERTS[name]["labels"]["severity"], severity, name)
            self.assertEqual(ALERTS[name]["annotations"]["runbook_url"], f"docs/RUNBOOK.md#{name.lower()}")

    def test_the_runbook_leads_where_it_says(self):
        headings = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in re.findall(r"^#+ (.+)$", RUNBOOK, re.M)}
        for text, target in re.findall(r"\[([^\]]+)\]\(([^)]+)\)", RUNBOOK):
            file, _, anchor = target.partition("#")
            if file:
                self.assertTrue((ROOT / "docs" / file).is_file(), text)
            else:
                self.assertIn(anchor, headings)
        with open(ROOT / "tests/config/keys.toml", "rb") as file:
            keys = {key["name"] for key in tomllib.load(file)["key"]}
        known = {name.split(".", 2)[0] for name in keys}
        for name in re.findall(r"`((?:[a-z_]+|NAME)(?:\.(?:[a-z_]+|NAME))+)(?: = [^`]*)?`", RUNBOOK):
            if name.split(".")[0] in known and not name.endswith((".yaml", ".md")):
                self.assertIn(name, keys)

    def test_the_dashboard_is_up_to_date(self):
        done = run("python3", "tools/dashboard/generate.py", "check")
        self.assertEqual(done.returncode, 0, done.stderr)


if __name__ == "__main__":
    unittest.main()
