"""The rules as the Prometheus operator takes them. ``python -m monitoring.prometheus.kubernetes`` writes the file.

A PrometheusRule holds what the files in rules/ do, so it is made of them, comments and all; a test holds both together.
"""

from pathlib import Path
from textwrap import indent

from fraud.atomic import replacing

RULES = Path(__file__).with_name("rules")
RESOURCE = Path(__file__).parents[2] / "deploy/kubernetes/components/prometheus-rule/prometheus-rule.yaml"
_HEAD = """\
# Made of monitoring/prometheus/rules by `python -m monitoring.prometheus.kubernetes`: change those.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: fraud-detector
spec:
  groups:
"""


def rendered() -> str:
    """The text of the file: the groups of every file of rules, in the order of the files' names."""
    return _HEAD + "\n".join(_groups(path) for path in sorted(RULES.glob("*.yml")))


def _groups(path: Path) -> str:
    """What stands below ``groups:``, as deep as a resource has it."""
    return indent(path.read_text().partition("\ngroups:\n")[2], "  ")


def main() -> None:
    """Write the file, whole or not at all."""
    with replacing(RESOURCE) as part:
        part.write_text(rendered())


if __name__ == "__main__":
    main()
