#!/usr/bin/env python3
"""Parses findings with Google's official library and checks what the documents promise about them.

Reads the files that are named on the command line: JSON of one ListFindingsResult, a list of them, one on each
line, or an insta snapshot of one. Unknown fields, wrong types and unknown enum values are errors.

Needs: pip install google-cloud-securitycenter
Exit code: 0 if every finding is right, 1 if one is not, 2 if nothing could be checked.
"""

import hashlib
import json
import pathlib
import re
import sys

from google.cloud import securitycenter_v2 as scc
from google.protobuf import json_format

CATEGORIES = {
    "Execution: Malicious Python executed": "MALICIOUS_PYTHON_EXECUTED",
    "Malicious Script Executed": "MALICIOUS_SCRIPT_EXECUTED",
    "Defense Evasion: Detection Impaired": "DETECTION_IMPAIRED",
}
SECRET = re.compile(r"hunter2")


def read(path):
    """The findings of one file, as parsed JSON."""
    text = pathlib.Path(path).read_text(encoding="utf-8")
    if path.endswith(".snap"):
        text = text.split("\n---\n", 1)[1]
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        value = [json.loads(line) for line in text.splitlines() if line.strip()]
    return value if isinstance(value, list) else [value]


def parse(value):
    """The message, by the official library's own parser."""
    message = scc.ListFindingsResponse.ListFindingsResult.pb()()
    json_format.ParseDict(value, message, ignore_unknown_fields=False)
    return scc.ListFindingsResponse.ListFindingsResult.wrap(message)


def problems(value, result):
    """Every promise that the finding breaks, in words."""
    yield from problems_of_all(value, result)
    if result.finding.module_name == "DETECTION_IMPAIRED":
        yield from problems_of_impairment(value, result)
    else:
        yield from problems_of_script(value, result)


def problems_of_impairment(value, result):
    """Of a finding that says what kept urva from seeing."""
    finding, properties = result.finding, value["finding"]["sourceProperties"]
    if finding.severity != scc.Finding.Severity.HIGH:
        yield f"severity is {finding.severity.name}"
    if finding.mitre_attack.primary_tactic != scc.MitreAttack.Tactic.DEFENSE_EVASION:
        yield "primaryTactic is not DEFENSE_EVASION"
    if scc.MitreAttack.Technique.IMPAIR_DEFENSES not in finding.mitre_attack.primary_techniques:
        yield "primaryTechniques lack IMPAIR_DEFENSES"
    if len(finding.processes):
        yield "a finding without a script has a process"
    for key in ("Gap_Kind", "Gap_Description", "Gap_Begin", "Gap_End"):
        if not properties.get(key):
            yield f"sourceProperties lack {key}"


def problems_of_script(value, result):
    """Of a finding on a script that was judged malicious."""
    finding = result.finding
    script = finding.processes[0].script
    properties = value["finding"]["sourceProperties"]
    kind = properties["Script_Kind"]

    # The hash is at once that of the contents and of the file's first hashedSize bytes.
    contents = script.contents.encode()
    if script.sha256 and "contents" in value["finding"]["processes"][0]["script"]:
        if script.sha256 != hashlib.sha256(contents).hexdigest():
            yield "script.sha256 is not the hash of script.contents"
        if script.hashed_size != len(contents):
            yield f"script.hashedSize is {script.hashed_size}, contents have {len(contents)} bytes"
        if script.partially_hashed != (script.hashed_size < script.size):
            yield "script.partiallyHashed does not fit to the sizes"
    if not script.partially_hashed and properties.get("Script_SHA256") not in (None, script.sha256):
        yield "the whole file is hashed, but Script_SHA256 differs"
    links = properties["contextUris"].get("virustotalIndicatorQueryUri", [])
    if ("Script_SHA256" in properties) != bool(links):
        yield "VirusTotal link and whole hash do not come together"
    if links and properties["Script_SHA256"] not in links[0]["url"]:
        yield "the VirusTotal link is not that of the whole file"

    # A literal script has no path.
    if kind in ("INLINE", "STDIN", "INTERACTIVE") and (script.path or script.disk_path.relative_path):
        yield f"script.path is set for kind {kind}"
    if kind == "FILE" and not script.path:
        yield "script.path is missing for a file"

    if finding.severity != scc.Finding.Severity.CRITICAL:
        yield f"severity is {finding.severity.name}"
    if finding.mitre_attack.primary_tactic != scc.MitreAttack.Tactic.EXECUTION:
        yield "primaryTactic is not EXECUTION"
    if scc.MitreAttack.Technique.COMMAND_AND_SCRIPTING_INTERPRETER not in finding.mitre_attack.primary_techniques:
        yield "primaryTechniques lack COMMAND_AND_SCRIPTING_INTERPRETER"
    if not finding.processes[0].binary.path:
        yield "binary.path is empty"


def problems_of_all(value, result):
    """Of the envelope that all findings have."""
    finding, resource = result.finding, result.resource
    properties = value["finding"]["sourceProperties"]

    # Filters that people already have must match.
    if CATEGORIES.get(finding.category) != finding.module_name:
        yield f"category {finding.category!r} with moduleName {finding.module_name!r}"
    if finding.finding_class != scc.Finding.FindingClass.THREAT:
        yield f"findingClass is {finding.finding_class.name}"
    if scc.MitreAttack.Technique.TECHNIQUE_UNSPECIFIED in list(finding.mitre_attack.additional_techniques):
        yield "additionalTechniques hold TECHNIQUE_UNSPECIFIED"

    # Secrets are redacted.
    if SECRET.search(json.dumps(value)):
        yield "a secret is not redacted"

    # Who and where.
    if not resource.gcp_metadata.project_display_name:
        yield "resource.gcpMetadata.projectDisplayName is empty"
    if finding.resource_name != resource.name or not resource.name.startswith("//container.googleapis.com/"):
        yield f"resource name is {resource.name!r}"
    if not finding.name.startswith(finding.parent + "/findings/"):
        yield "name does not lie under parent"
    for key in properties:
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,254}", key):
            yield f"source property {key!r} has a name that SCC refuses"
    if "VM_Instance_Name" not in properties:
        yield "sourceProperties lack VM_Instance_Name"
    if finding.kubernetes.pods and properties.get("Container_Metadata") == "COMPLETE":
        for key in ("Pod_Namespace", "Pod_Name", "Container_Name", "Container_Image_Uri"):
            if not properties.get(key):
                yield f"sourceProperties lack {key}"


def main(paths):
    checked, broken = 0, 0
    for path in paths:
        for value in read(path):
            try:
                found = list(problems(value, parse(value)))
            except (json_format.ParseError, KeyError, IndexError) as error:
                found = [f"{type(error).__name__}: {error}"]
            checked += 1
            broken += bool(found)
            for problem in found:
                print(f"{path}: {problem}", file=sys.stderr)
    print(f"{checked} findings checked, {broken} wrong")
    return 2 if checked == 0 else int(broken > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
