"""Checks that each line of stdin is a Detection Finding of OCSF, by a model that is not ours, and prints
its finding's id. An attribute that the model does not have is an error: by itself it would pass over it."""

import json
import sys

from py_ocsf_models.events.findings.detection_finding import DetectionFinding
from pydantic import BaseModel


def strangers(given, model, path):
    """The attributes of `given` that `model` does not have, by their path."""
    if isinstance(model, list):
        return [name for one, item in zip(given, model) for name in strangers(one, item, path + "[]")]
    if not isinstance(model, BaseModel):
        return []
    found = []
    for name, value in given.items():
        if name not in type(model).model_fields:
            found.append(f"{path}.{name}")
        else:
            found += strangers(value, getattr(model, name), f"{path}.{name}")
    return found


for line in sys.stdin:
    finding = DetectionFinding.model_validate_json(line)
    if unknown := strangers(json.loads(line), finding, ""):
        sys.exit(f"not in the schema: {unknown}")
    print(finding.finding_info.uid)
