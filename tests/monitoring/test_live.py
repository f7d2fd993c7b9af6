"""Every query of the dashboard and every rule, by a real Prometheus on the real /metrics of a run."""

import itertools
import json
import re
import tempfile
import time
import unittest
from concurrent.futures import ThreadPoolExecutor

from live import ROOT, RULES, Live, filled

DASHBOARD = json.loads((ROOT / "helm/cardproof/files/dashboard.json").read_text(encoding="utf-8"))
METRICS = (ROOT / "docs/METRICS.md").read_text(encoding="utf-8")
# What this run cannot bring about, and why; everything else must have data.
EMPTY = {}
WAIT_S = 60
# CardproofChargesUnknown is raised by more than five of one vendor
UNKNOWN_CHARGES = 6
# longer than the run: on a busy machine its last call to a vendor lies a minute back
WINDOW = "10m"


def names_in(text):
    """The metrics of this program that a query speaks of; what rules record has a colon."""
    return set(re.findall(r"\b(?:cardproof_\w+|rpc_server_\w+|http_client_\w+)\b(?!:)", text))


def not_there_yet():
    """Metrics of parts that the documentation says are not there."""
    return set(re.findall(r"^- `(cardproof_\w+)`", METRICS, re.M))


class LiveTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="monitoring-")
        cls.addClassCleanup(folder.cleanup)
        cls.live = Live(folder.name)
        cls.addClassCleanup(cls.live.stop)
        cls.trouble()

    @classmethod
    def trouble(cls):
        """Answers of every kind, and every failure that the dashboard shows."""
        live, asked = cls.live, []

        def many(cards, *arguments, **more):
            with ThreadPoolExecutor(4) as pool:
                asked.extend(pool.map(lambda card: live.ask(card, *arguments, **more), cards))

        # the vendor that is first in the route answers, and refuses some; asked twice, from memory
        cards = [f"62220200000000{number:05}" for number in range(40)]
        many(cards)
        many(cards[:20])
        many([f"62260901000000{number:05}" for number in range(12)], person={"name": "李四"}, caller="onboarding")
        many(["622202", "622848"], command="card-info")
        # five of one question at once: one pays, the others follow
        live.script(vendor="tencent", delay_ms=1500, times=1)
        many(["6222020000000077777"] * 4)
        # a card that its bank would lock
        for name in ("王五", "赵六", "孙七", "周八"):
            asked.append(live.ask("6222020000000088888", person={"name": name}))
        # the second vendor cuts connections, the third does not know the token, the first goes away
        live.script(vendor="alibaba", fault={"kind": "cut_after_read"})
        live.script(vendor="ace", reply={"kind": "error", "code": "invalid_token"})
        live.script(vendor="tencent", fault={"kind": "cut_before_body"})
        # for longer than the breaker looks back, and over several scrapes; the breaker lets one call
        # through in a while
        begun = time.monotonic()
        for number in itertools.count():
            many([f"62220300000000{number:05}"])
            many([f"62220400000000{number:05}"], "--provider", "ace")
            lasted = time.monotonic() - begun
            # the breaker lets few calls through, and on a busy machine fewer
            if lasted > 3 * WAIT_S or (lasted > 10 and cls.unknown_charges() >= UNKNOWN_CHARGES):
                break
            time.sleep(0.2)
        cls.outage_of_redis(many)
        cls.codes = sorted({done.returncode for done in asked})
        # two scrapes and an evaluation of the rules behind it
        time.sleep(4)

    @classmethod
    def unknown_charges(cls):
        """Of the vendor that has most."""
        found = re.findall(r'^cardproof_provider_calls_total\{charge="UNKNOWN",.*provider="(\w+)"\} (\d+)$', cls.live.metrics(), re.M)
        return max(sum(int(count) for name, count in found if name == vendor) for vendor, _ in found)

    @classmethod
    def outage_of_redis(cls, many):
        """Redis goes away while questions are asked, and comes back; what Prometheus raised meanwhile is kept."""
        cls.before_outage, cls.refused = cls.raised(), cls.live.redis.refused()
        cls.live.redis.stop()
        until = time.monotonic() + WAIT_S
        for number in itertools.count():
            many([f"62220500000000{number:05}"])
            cls.in_outage = cls.raised()
            if {"CardproofRedisDown", "CardproofRedisDegraded"} <= set(cls.in_outage) or time.monotonic() > until:
                break
            time.sleep(0.5)
        cls.live.redis.start()
        until = time.monotonic() + WAIT_S
        while "CardproofRedisDown" in (after := cls.raised()) and time.monotonic() < until:
            time.sleep(0.5)
        cls.after_outage = after

    @classmethod
    def raised(cls):
        """Alerts by name. Pending counts: how long each waits is for promtool's tests."""
        return {alert["labels"]["alertname"]: alert for alert in cls.live.query("alerts")["alerts"]}

    def test_questions_were_answered_and_refused(self):
        self.assertEqual(self.codes, [0, 1, 2])

    def test_every_query_of_the_dashboard(self):
        empty, panels = set(), [panel for panel in DASHBOARD["panels"] if "targets" in panel]
        self.assertGreater(len(panels), 25)
        waiting = not_there_yet()
        for panel in panels:
            for target in panel["targets"]:
                with self.subTest(panel=panel["title"], query=target["expr"]):
                    found = self.live.query("query", query=filled(target["expr"], WINDOW))["result"]
                    absent = names_in(target["expr"]) & waiting
                    if not found:
                        empty.add(panel["title"])
                        self.assertTrue(absent or panel["title"] in EMPTY, "no data")
                    # a vendor that was not asked lately has no latency
                    numbers = [series["value"][1] for series in found if series["value"][1] not in ("NaN", "+Inf", "-Inf")]
                    self.assertEqual(bool(numbers), bool(found), found)
                    for series in found:
                        for label in re.findall(r"{{(\w+)}}", target["legendFormat"]):
                            self.assertIn(label, series["metric"])
        # a reason that has become untrue is taken out
        self.assertEqual(set(EMPTY) - empty, set())

    def test_the_variables_of_the_dashboard(self):
        for variable in DASHBOARD["templating"]["list"]:
            if variable["type"] == "query":
                metric, label = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["query"]["query"]).groups()
                found = self.live.query("query", query=metric)["result"]
                # namespaces are there in Kubernetes alone
                self.assertTrue(found and (label == "namespace" or all(label in series["metric"] for series in found)), variable)

    def test_every_metric_is_one_of_ours(self):
        served = set(re.findall(r"^# TYPE (\S+) ", self.live.metrics(), re.M))
        served |= {name + end for name in served for end in ("_bucket", "_sum", "_count")}
        for place, text in {"rules": RULES.read_text(encoding="utf-8"), "dashboard": json.dumps(DASHBOARD)}.items():
            with self.subTest(place=place):
                self.assertEqual(names_in(text) - served - not_there_yet(), set())

    def test_whatever_the_rules_count_was_seen_at_zero(self):
        """Each series is there before its first event, and Prometheus had seen it: an increase is all that the rules see."""
        counters = set(re.findall(r"(?:increase|rate)\((cardproof_\w+)", RULES.read_text(encoding="utf-8")))
        self.assertGreater(len(counters), 8)
        for counter in counters:
            with self.subTest(counter=counter):
                begun = self.live.query("query", query=f"min_over_time({counter}[1h])")["result"]
                self.assertEqual({series["value"][1] for series in begun}, {"0"}, begun)

    def test_every_rule_is_evaluated(self):
        groups = self.live.query("rules")["groups"]
        rules = [rule for group in groups for rule in group["rules"]]
        self.assertGreater(len(rules), 30)
        for rule in rules:
            self.assertEqual((rule["health"], rule.get("lastError", "")), ("ok", ""), rule["name"])
        self.assertTrue(self.live.query("query", query="cardproof:slow_calls:ratio_rate5m")["result"])

    def test_what_went_wrong_is_raised(self):
        wanted = {"CardproofProviderMisconfigured", "CardproofCallsFailing", "CardproofChargesUnknown",
                  "CardproofBreakerOpen", "CardproofCardTesting", "CardproofRedisDegraded"}
        until = time.monotonic() + WAIT_S
        while not wanted <= set(raised := self.raised()) and time.monotonic() < until:
            time.sleep(0.5)
        self.assertEqual(wanted - set(raised), set())
        for alert in raised.values():
            self.assertNotRegex(alert["annotations"]["summary"], r"<no value>|{{|  |%!|\(\)")
        self.assertNotIn("CardproofDown", raised)

    def test_an_outage_of_redis_is_raised_while_it_lasts(self):
        redis = {"CardproofRedisDown", "CardproofRedisDegraded", "CardproofRedisMayForget"}
        self.assertEqual(redis & set(self.before_outage), set())
        self.assertEqual(redis & set(self.in_outage), {"CardproofRedisDown", "CardproofRedisDegraded"})
        # that questions were decided without it stays true for a while
        self.assertEqual(redis & set(self.after_outage), {"CardproofRedisDegraded"})
        self.assertEqual([series["value"][1] for series in self.live.query("query", query="cardproof_redis_up")["result"]], ["1"])

    def test_redis_granted_what_the_service_asked_for(self):
        """The service's user has the rights of docs/KUBERNETES.md and no others."""
        self.assertEqual(self.refused + self.live.redis.refused(), [])
        keys = self.live.redis.lines("KEYS", "*")
        self.assertGreater(len(keys), 50)
        self.assertEqual([key for key in keys if not key.startswith("cardproof:")], [])



if __name__ == "__main__":
    unittest.main()
