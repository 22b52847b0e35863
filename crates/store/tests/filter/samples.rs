//! A finding with something in most kinds of fields. Pods, hosts and hashes are made up.

use serde_json::{Value, json};

pub(crate) fn finding() -> Value {
    json!({
        "name": "organizations/1/sources/2/findings/0a1b",
        "parent": "organizations/1/sources/2",
        "resourceName": "//container.googleapis.com/projects/7/locations/eu/clusters/shop",
        "state": "ACTIVE",
        "category": "Execution: Malicious Python executed",
        "severity": "CRITICAL",
        "eventTime": "2026-11-22T16:00:00.25Z",
        "createTime": "2026-11-22T15:00:00Z",
        "sourceProperties": {
            "Pod_Name": "web-1",
            "Score": 0.9871,
            "Execution_Count": "12",
            "Capture_Complete": true,
            "a.b \"c\"": "odd",
            "Reasons": [{"indicator": "socket", "weight": 1.5}, {"indicator": "Reverse shell", "line": 3}],
            "Notes": ["cut", "late"],
            "Empty": null,
        },
        "securityMarks": {"name": "marks", "marks": {"Team": "Blue", "on-call": "yes"}},
        "externalSystems": {"jira": {"externalUid": "SHOP-7", "status": "open"}},
        "processes": [
            {
                "name": "python3", "pid": "4711", "args": ["-c", "import os"],
                "binary": {"path": "/usr/bin/python3", "size": "6831704"},
                "script": {"sha256": "ab12", "contents": "import os", "partiallyHashed": true},
                "libraries": [{"path": "/lib/one.so"}, {"path": "/lib/two.so"}],
            },
            {"name": "sh", "args": []},
        ],
        "kubernetes": {"pods": [
            {"ns": "shop", "name": "web-1", "labels": [{"name": "app", "value": "web"}, {"name": "tier", "value": "front"}]},
            {"ns": "shop", "name": "web-2"},
        ]},
        "mitreAttack": {"primaryTactic": "EXECUTION", "primaryTechniques": ["COMMAND_AND_SCRIPTING_INTERPRETER"]},
        "indicator": {"ipAddresses": ["10.1.2.3", "2001:db8::1"], "domains": ["Evil.example"]},
        "access": {"callerIp": "192.0.2.9", "principalEmail": "ops@shop.example"},
        "attackExposure": {"score": 2.5},
        "vulnerability": {"cve": {"id": "CVE-2026-1", "cvssv3": {"baseScore": 9.8}}},
        "resource": {
            "name": "//container.googleapis.com/projects/7/locations/eu/clusters/shop",
            "displayName": "shop",
            "type": "google.container.Cluster",
            "gcpMetadata": {
                "projectDisplayName": "Shop-Prod",
                "folders": [{"resourceFolder": "folders/11", "resourceFolderDisplayName": "Retail"}],
            },
        },
    })
}
