"""Writes the golden renders anew; look at the difference before you commit it. scripts/helm-golden runs it."""

from chart import CASES, HERE, template

for case in CASES:
    done = template(case)
    done.check_returncode()
    (HERE / "golden" / f"{case}.yaml").write_text(done.stdout, encoding="utf-8")
