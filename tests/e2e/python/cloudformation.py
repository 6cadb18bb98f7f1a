"""What deploy/cloudformation says, as AWS would take it, answered in JSON.

  cloudformation.py lint FILE        what cfn-lint finds
  cloudformation.py read FILE        the template, its short forms (!Ref) written out
  cloudformation.py match < JSON     [{"pattern": …, "event": …}, …] -> [true, …], by moto's EventBridge
  cloudformation.py yaml FILE        any YAML
"""

import json
import sys
from pathlib import Path


def lint(path):
    from cfnlint.api import lint_file

    return [str(match) for match in lint_file(Path(path))]


def read(path):
    from cfnlint.decode import decode

    template, matches = decode(path)
    if matches:
        raise SystemExit(str(matches))
    return template


def match():
    from moto.events.models import EventPattern

    asked = json.load(sys.stdin)
    return [EventPattern.load(json.dumps(one["pattern"])).matches_event(one["event"]) for one in asked]


def yaml(path):
    import yaml as reader

    return reader.safe_load(Path(path).read_text())


command, *files = sys.argv[1:]
json.dump({"lint": lint, "read": read, "match": match, "yaml": yaml}[command](*files), sys.stdout)
