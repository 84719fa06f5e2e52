"""Records what Ansible makes of the templates in cases.yml. Run by hand with a Python that has ansible-core.

    python tests/data/template/record.py

Writes expected.json: for each case the value, or null and an error.
"""

import json
import pathlib
import sys

from ansible.errors import AnsibleError
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import init_plugin_loader
from ansible.template import Templar, trust_as_template

init_plugin_loader()
here = pathlib.Path(__file__).parent
loader = DataLoader()
loader.set_basedir(str(here))
data = loader.load_from_file(str(here / "cases.yml"), trusted_as_template=True)

recorded = []
for case in data["cases"]:
    variables = dict(data["vars"])
    variables.update(case.get("vars", {}))
    templar = Templar(loader, variables=variables)
    form = "condition" if "when" in case else "file" if "file" in case else "text"
    source = case.get("when", case.get("file", case.get("text")))
    entry = {"form": form, "source": source}
    try:
        if form == "condition":
            entry["value"] = templar._engine.evaluate_conditional(source)
        elif form == "file":
            value = templar._engine.extend().template(
                trust_as_template(str(source)),
                options=__import__("ansible._internal._templating._engine", fromlist=["TemplateOptions"]).TemplateOptions(
                    escape_backslashes=False
                ),
            )
            entry["value"] = "" if value is None else str(value)
        else:
            entry["value"] = templar.template(source)
        json.dumps(entry["value"])
    except (AnsibleError, TypeError, ValueError) as error:
        entry.pop("value", None)
        entry["error"] = str(error).split("\n")[0]
        print(f"error: {source!r}: {entry['error']}", file=sys.stderr)
    recorded.append(entry)

(here / "expected.json").write_text("[\n" + ",\n".join(json.dumps(entry) for entry in recorded) + "\n]\n")
print(f"{len(recorded)} cases")
