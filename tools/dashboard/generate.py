#!/usr/bin/env python3
"""Writes the Grafana dashboard, helm/cardproof/files/dashboard.json, from the panels that stand here.

    generate.py [check]    write it; with `check`, fail if the file is not what would be written

A panel is a title, what it is good for, a unit, and queries with legends. $S in a query stands for
the chosen service, $R for the window that fits the picture.
"""

import json
import pathlib
import sys

TARGET = pathlib.Path(__file__).resolve().parents[2] / "helm/cardproof/files/dashboard.json"
SERVICE = 'job=~"$job",namespace=~"$namespace",instance=~"$instance"'
METHODS = 'rpc_method=~"bankcard[.]v1[.].+"'
WIDTH = 24
# green, yellow, red at these values
GOOD_IS_LOW = lambda yellow, red: [(None, "green"), (yellow, "yellow"), (red, "red")]  # noqa: E731
GOOD_IS_HIGH = lambda red, yellow: [(None, "red"), (red, "yellow"), (yellow, "green")]  # noqa: E731


def query(expression):
    return expression.replace("$S", SERVICE).replace("$M", METHODS).replace("$R", "$__rate_interval")


def panel(kind, title, description, unit, queries, width=8, height=8, steps=None, stacked=False, limits=(0, None), mappings=None):
    """One panel without its place."""
    defaults = {"unit": unit, "color": {"mode": "palette-classic"}, "thresholds": {"mode": "absolute", "steps": [
        {"value": value, "color": color} for value, color in steps or [(None, "green")]]}}
    if limits[0] is not None:
        defaults["min"] = limits[0]
    if limits[1] is not None:
        defaults["max"] = limits[1]
    if mappings:
        defaults["mappings"] = [{"type": "value", "options": {
            str(value): {"text": text, "color": color, "index": index} for index, (value, text, color) in enumerate(mappings)}}]
    instant = kind in ("stat", "bargauge", "table")
    options = {
        "timeseries": {"legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
                       "tooltip": {"mode": "multi", "sort": "desc"}},
        "stat": {"reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}, "colorMode": "background",
                 "graphMode": "none", "textMode": "auto"},
        "bargauge": {"reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}, "orientation": "horizontal",
                     "displayMode": "gradient", "showUnfilled": True},
        "state-timeline": {"mergeValues": True, "showValue": "never", "rowHeight": 0.8,
                           "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True}},
        "table": {"showHeader": True, "cellHeight": "sm"},
    }[kind]
    if kind in ("stat", "bargauge", "state-timeline"):
        defaults["color"] = {"mode": "thresholds"}
    if kind == "timeseries":
        defaults["custom"] = {"lineWidth": 1, "fillOpacity": 25 if stacked else 8, "showPoints": "never",
                              "stacking": {"mode": "normal" if stacked else "none", "group": "A"}}
    found = {
        "type": kind, "title": title, "description": description, "datasource": {"type": "prometheus", "uid": "${datasource}"},
        "gridPos": {"w": width, "h": height}, "fieldConfig": {"defaults": defaults, "overrides": []}, "options": options,
        "targets": [{"refId": "ABCDEF"[number], "expr": query(expression), "legendFormat": legend, "instant": instant,
                     "range": not instant, **({"format": "table"} if kind == "table" else {}),
                     "datasource": {"type": "prometheus", "uid": "${datasource}"}}
                    for number, (expression, legend) in enumerate(queries)],
    }
    if kind == "table":
        found["transformations"] = [{"id": "organize", "options": {"excludeByName": {"Time": True, "Value": True, "__name__": True}}}]
    return found


CALLS = "rpc_server_call_duration_seconds"
FAILED = 'rpc_response_status_code=~"UNKNOWN|UNAVAILABLE|INTERNAL|DEADLINE_EXCEEDED|FAILED_PRECONDITION"'
HITS = 'sum(rate(cardproof_cache_lookups_total{$S,outcome="hit"}[$R]))'
LOOKUPS = 'sum(rate(cardproof_cache_lookups_total{$S,tier="local",outcome=~"hit|miss"}[$R]))'

ROWS = [
    ("At a glance", [
        panel("stat", "Calls a second", "Verifications and card information together.", "reqps",
              [(f"sum(rate({CALLS}_count{{$S,$M}}[$R]))", "calls")], 4, 4),
        panel("stat", "Calls without an answer", "The share that ended in an error of ours or of every vendor.", "percentunit",
              [(f"(sum(rate({CALLS}_count{{$S,$M,{FAILED}}}[$R])) or vector(0)) / sum(rate({CALLS}_count{{$S,$M}}[$R]))", "failed")],
              4, 4, GOOD_IS_LOW(0.01, 0.05)),
        panel("stat", "Slower than 2.5 s", "The promise is 1 % at most.", "percentunit",
              [(f'1 - sum(rate({CALLS}_bucket{{$S,$M,le="2.5"}}[$R])) / sum(rate({CALLS}_count{{$S,$M}}[$R]))', "slow")],
              4, 4, GOOD_IS_LOW(0.01, 0.06)),
        panel("stat", "Answered from the cache", "Questions that cost nothing because the answer was known.", "percentunit",
              [(f"{HITS} / {LOOKUPS}", "hits")], 4, 4),
        panel("stat", "Spent in the last 24 hours", "By currency of the configured prices.", "short",
              [("sum by (currency) (increase(cardproof_provider_cost_total{$S}[1d]))", "{{currency}}")], 4, 4),
        panel("stat", "Vendors in trouble", "Breakers that are open, and providers that do not accept us.", "short",
              [("(count(max by (provider, operation) (cardproof_breaker_state{$S}) == 2) or vector(0))"
                " + (count(max by (provider) (cardproof_provider_misconfigured{$S}) == 1) or vector(0))", "now")],
              4, 4, GOOD_IS_LOW(1, 2)),
    ]),
    ("Calls", [
        panel("timeseries", "Calls by status", "OK is every answer of a vendor, whatever it says.", "reqps",
              [(f"sum by (rpc_response_status_code) (rate({CALLS}_count{{$S,$M}}[$R]))", "{{rpc_response_status_code}}")], stacked=True),
        panel("timeseries", "Latency", "As callers see it; answers from the cache included.", "s",
              [(f"histogram_quantile({quantile}, sum by (le) (rate({CALLS}_bucket{{$S,$M}}[$R])))", f"p{quantile * 100:g}")
               for quantile in (0.5, 0.95, 0.99)]),
        panel("timeseries", "Answers", "What the answers say. A jump of MISMATCH is a vendor's doing or an attack.", "ops",
              [("sum by (result) (rate(cardproof_results_total{$S}[$R]))", "{{result}}")], stacked=True),
    ]),
    ("Vendors", [
        panel("timeseries", "Calls to vendors", "By what came of them. Below ANSWERED stands what brought no answer.", "ops",
              [("sum by (provider, outcome) (rate(cardproof_provider_calls_total{$S}[$R])) > 0", "{{provider}} {{outcome}}")], stacked=True),
        panel("timeseries", "Latency of vendors, p95", "From the first try to connect to the end of the reply.", "s",
              [("histogram_quantile(0.95, sum by (le, provider) (rate(http_client_request_duration_seconds_bucket{$S}[$R])))", "{{provider}}")]),
        panel("timeseries", "Replies of vendors by HTTP status", "none: no usable reply came.", "ops",
              [("sum by (provider, http_response_status_code) (rate(http_client_request_duration_seconds_count{$S}[$R]))",
                "{{provider}} {{http_response_status_code}}")], stacked=True),
        panel("state-timeline", "Breakers", "The worst replica. Open: not asked. Half open: one question tries.", "short",
              [("max by (provider, operation) (cardproof_breaker_state{$S})", "{{provider}} {{operation}}")], 12,
              mappings=[(0, "closed", "green"), (1, "half open", "yellow"), (2, "open", "red")],
              steps=GOOD_IS_LOW(1, 2)),
        panel("state-timeline", "Accepted by the vendor",
              "No: credentials, settings, clock or credit are refused. Nobody but the operator can mend it.", "short",
              [("1 - max by (provider) (cardproof_provider_misconfigured{$S})", "{{provider}}")], 6,
              mappings=[(0, "no", "red"), (1, "yes", "green")], steps=[(None, "red"), (1, "green")]),
        panel("timeseries", "Clock skew", "How far the vendor's clock is ahead of ours. Signatures fail from minutes on.", "s",
              [("max by (provider) (cardproof_provider_clock_skew_seconds{$S})", "{{provider}}")], 6, limits=(None, None)),
    ]),
    ("Money", [
        panel("timeseries", "Money an hour", "At the present pace; the dashed line of the alert is cardproof:money_per_hour:limit.", "short",
              [("sum by (provider, currency) (rate(cardproof_provider_cost_total{$S}[$R])) * 3600", "{{provider}} {{currency}}")], stacked=True),
        panel("timeseries", "Charges", "UNKNOWN: the call left and no usable answer came. Compare with the vendor's bill.", "ops",
              [("sum by (charge) (rate(cardproof_provider_calls_total{$S}[$R]))", "{{charge}}")]),
        panel("bargauge", "Daily budgets", "What is spent of them. At 100 % the vendor, or the caller, is refused.", "percentunit",
              [("max by (scope, name) (cardproof_budget_spent_ratio{$S})", "{{scope}} {{name}}")], steps=GOOD_IS_LOW(0.8, 0.99), limits=(0, 1)),
    ]),
    ("Memory and flights", [
        panel("timeseries", "Lookups in the cache", "By tier and outcome. stale: an old answer, because every vendor failed.", "ops",
              [("sum by (tier, outcome) (rate(cardproof_cache_lookups_total{$S}[$R]))", "{{tier}} {{outcome}}")], stacked=True),
        panel("timeseries", "Size of the cache", "Of each replica.", "bytes", [("cardproof_cache_weight_bytes{$S}", "{{instance}}")]),
        panel("timeseries", "Answers kept", "Of each replica.", "short", [("cardproof_cache_entries{$S}", "{{instance}}")], 4),
        panel("timeseries", "Followers", "Calls that waited for the same question under way instead of paying.", "ops",
              [("sum by (scope) (rate(cardproof_flight_followers_total{$S}[$R]))", "{{scope}}")], 4),
    ]),
    ("Cards", [
        panel("timeseries", "Refused by the guard", "Questions not asked, because the bank would lock the card.", "ops",
              [("sum by (reason) (rate(cardproof_guard_refusals_total{$S}[$R]))", "{{reason}}")], stacked=True),
        panel("timeseries", "Suspected card testing", "By caller. Anything above zero needs a person.", "short",
              [("max by (caller) (cardproof_card_testing_suspects{$S})", "{{caller}}")]),
        panel("timeseries", "Outcome unknown", "Calls that may have run and brought no answer; each question is held.", "ops",
              [("sum by (provider) (rate(cardproof_outcome_unknown_total{$S}[$R]))", "{{provider}}")]),
    ]),
    ("Shared state and house-keeping", [
        panel("state-timeline", "Redis", "Of each replica; empty where none is configured.", "short",
              [("cardproof_redis_up{$S}", "{{instance}}")], 6, mappings=[(0, "lost", "red"), (1, "there", "green")],
              steps=[(None, "red"), (1, "green")]),
        panel("timeseries", "Decided without Redis", "Questions while it was lost.", "ops",
              [("sum(rate(cardproof_redis_degraded_total{$S}[$R]))", "questions")], 6),
        panel("stat", "Must stay at zero", "Since the start of the replicas: ledger errors, what the last filter took out of logs, "
              "signed requests that a vendor saw twice, contradictions in a vendor's answers, dropped telemetry.", "short",
              [("sum(cardproof_ledger_errors_total{$S})", "ledger errors"), ("sum(cardproof_redaction_hits_total{$S})", "redactions"),
               ("sum(cardproof_provider_nonce_reused_total{$S})", "nonces reused"),
               ("sum(cardproof_provider_code_conflicts_total{$S})", "code conflicts"),
               ("sum(cardproof_otel_dropped_total{$S})", "telemetry dropped")], 12, steps=GOOD_IS_LOW(1, 1)),
        panel("bargauge", "Certificates", "Time until they expire.", "s",
              [("min by (file) (cardproof_tls_certificate_expiry_timestamp_seconds{$S}) - time()", "{{file}}")], 6,
              steps=GOOD_IS_HIGH(2 * 86400, 14 * 86400)),
        panel("timeseries", "Configuration taken up", "By outcome.", "short",
              [("sum by (outcome) (increase(cardproof_config_reloads_total{$S}[$R]))", "{{outcome}}")], 6),
        panel("table", "What runs", "During a roll-out two versions stand here.", "short",
              [("count by (version, bin_data_version) (cardproof_build_info{$S})", "")], 12),
    ]),
]


def variable(name, label):
    return {"name": name, "label": label, "type": "query", "datasource": {"type": "prometheus", "uid": "${datasource}"},
            "query": {"query": f"label_values(cardproof_build_info, {name})", "refId": "values"}, "refresh": 2, "sort": 1,
            # what carries no such label, as outside of Kubernetes, is meant too
            "includeAll": True, "allValue": ".*", "multi": True, "current": {"text": "All", "value": "$__all"}}


def dashboard():
    panels, y = [], 0
    for title, row in ROWS:
        panels.append({"type": "row", "title": title, "collapsed": False, "panels": [], "gridPos": {"x": 0, "y": y, "w": WIDTH, "h": 1}})
        x, y, tallest = 0, y + 1, 0
        for one in row:
            if x + one["gridPos"]["w"] > WIDTH:
                x, y, tallest = 0, y + tallest, 0
            one["gridPos"] |= {"x": x, "y": y}
            x, tallest = x + one["gridPos"]["w"], max(tallest, one["gridPos"]["h"])
            panels.append(one)
        y += tallest
    for number, one in enumerate(panels, 1):
        one["id"] = number
    return {
        "uid": "cardproof", "title": "cardproof", "tags": ["cardproof"], "editable": True, "graphTooltip": 1, "refresh": "30s",
        "schemaVersion": 39, "time": {"from": "now-3h", "to": "now"}, "timezone": "browser", "panels": panels,
        "description": "Calls, vendors, money, cards. docs/RUNBOOK.md says what to do when an alert is raised.",
        "templating": {"list": [{"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"},
                                variable("job", "Job"), variable("namespace", "Namespace"), variable("instance", "Replica")]},
        "annotations": {"list": [{"name": "Alerts", "enable": True, "iconColor": "red", "titleFormat": "{{alertname}}",
                                  "datasource": {"type": "prometheus", "uid": "${datasource}"},
                                  "expr": 'ALERTS{alertname=~"Cardproof.+",alertstate="firing",namespace=~"$namespace"}'}]},
    }


if __name__ == "__main__":
    whole = dashboard()
    # one panel a line: a change shows as the panels that it changes
    lines = ",\n".join(json.dumps(one, ensure_ascii=False) for one in whole.pop("panels"))
    text = json.dumps(whole, ensure_ascii=False, indent=1).removesuffix("\n}") + ',\n "panels": [\n' + lines + "\n ]\n}\n"
    if sys.argv[1:] == ["check"]:
        if TARGET.read_text(encoding="utf-8") != text:
            sys.exit("the dashboard is not what tools/dashboard/generate.py writes: run it")
    else:
        TARGET.write_text(text, encoding="utf-8")
