"""Reads what urva's outputs send with the receivers' own libraries: Google's client, OCSF's schema, OpenTelemetry's protocol, parsers of
syslog and CEF, and Standard Webhooks' verification. Takes a folder with a folder for each case, which holds one file for each format."""

import base64
import json
import sys
from pathlib import Path

import jsonschema_rs
import pycef
from google.cloud.securitycenter_v2 import NotificationMessage
from google.protobuf import json_format
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from standardwebhooks import Webhook
from syslog_rfc5424_parser import SyslogMessage

schema = OcsfJsonSchemaEmbedded(get_ocsf_schema("1.5.0"))
detection_finding = jsonschema_rs.validator_for(schema.get_class_schema("detection_finding"))


def scc(path):
    envelope = json.loads(path.read_bytes())
    data = base64.b64decode(envelope["message"]["data"], validate=True)
    message = NotificationMessage.from_json(data, ignore_unknown_fields=False)
    assert message.finding.name, "no finding"
    assert "/notificationConfigs/" in message.notification_config_name, message.notification_config_name
    assert envelope["message"]["messageId"] and envelope["subscription"].startswith("projects/"), envelope


def ocsf(path):
    event = json.loads(path.read_bytes())
    errors = [f"{list(error.instance_path)}: {error.message}" for error in detection_finding.iter_errors(event)]
    assert not errors, errors
    assert event["class_uid"] == 2004


def otlp(path):
    request = json_format.Parse(path.read_bytes(), ExportLogsServiceRequest(), ignore_unknown_fields=False)
    [record] = request.resource_logs[0].scope_logs[0].log_records
    assert record.body.string_value and record.time_unix_nano and record.severity_text, record


def syslog(path):
    line = path.read_text()
    assert "\n" not in line and "\r" not in line, line
    message = SyslogMessage.parse(line)
    assert message.appname == "urva" and message.msgid == "FINDING", message
    event = pycef.parse(message.msg)
    assert event and event["DeviceVendor"] == "urva", message.msg
    # What a container wrote has made no field of its own.
    known = "rt start end externalId act outcome cat cnt dvchost sproc spid suid filePath fileHash msg".split()
    for key in event:
        assert key in known or key.startswith(("Device", "CEF", "Name", "Severity")) or event_label(event, key), key


def event_label(event, key):
    labels = ["Namespace", "Pod", "Container", "Image", "Arguments", "Finding"]
    return key in labels or (key.startswith("cs") and event.get(key) in labels) or key in [f"cs{n}" for n in range(1, 7)]


def webhook(path):
    sent = json.loads(path.read_bytes())
    Webhook(sent["secret"]).verify(sent["body"], sent["headers"])


checks = {"scc.json": scc, "ocsf.json": ocsf, "otlp.json": otlp, "syslog.txt": syslog, "webhook.json": webhook}
wrong = checked = 0
for case in sorted(Path(sys.argv[1]).iterdir()):
    for name, check in checks.items():
        checked += 1
        try:
            check(case / name)
        except Exception as error:  # each is told, whatever it is
            wrong += 1
            print(f"{case.name}/{name}: {type(error).__name__}: {error}")
print(f"{checked} checked, {wrong} wrong")
sys.exit(1 if wrong else 0)
