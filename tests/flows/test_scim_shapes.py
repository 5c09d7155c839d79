"""What Okta and Microsoft Entra ID really send, from their own documents, step by step (M3).

Each file names its sources. What was made before is called $USER, $OTHER, $GROUP.
"""

import json
from pathlib import Path

import pytest

from tests.support.scim import directory

SHAPES = Path(__file__).parent.parent / "scim" / "shapes"


@pytest.mark.parametrize("product", ["okta", "entra"])
def test_a_directory_gets_through_its_day(harness, product):
    script = json.loads((SHAPES / f"{product}.json").read_text(encoding="utf-8"))
    scim = directory(harness)
    ids = {}

    def named(text):
        for name, id_ in ids.items():
            text = text.replace(f"${name}", id_)
        return text

    for step in script["steps"]:
        assert step["source"] in script["sources"]
        about = f"{product}: {step['about']}"
        body = json.loads(named(json.dumps(step["body"]))) if "body" in step else None
        answer = scim.ask(step["method"], named(step["path"]), body)
        assert answer.status == step["status"], (about, answer.response.text)
        if "keep" in step:
            ids[step["keep"]] = answer.id
        for name, value in json.loads(named(json.dumps(step.get("expect", {})))).items():
            assert answer.json.get(name) == value, about
        if "found" in step:
            assert [it["id"] for it in answer.resources] == [ids[it] for it in step["found"]], about
        if "members" in step:
            members = {it["value"] for it in answer.json["members"]}
            assert members == {ids[it] for it in step["members"]}, about
