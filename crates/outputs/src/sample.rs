//! The finding that `urva outputs test` sends.

use evidence::Timestamp;
use serde_json::json;
use store::{Delivery, DeliveryId, Event};

/// A delivery to `output` that says of itself that it is a test. Its finding is in no database.
pub fn sample(output: &str, now: Timestamp) -> Delivery {
    let id = "00000000000000000000000000000000";
    let parent = "projects/local/sources/urva/locations/global";
    let cluster = "//container.googleapis.com/projects/0/locations/local/clusters/local";
    let sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let finding = json!({
        "name": format!("{parent}/findings/{id}"),
        "canonicalName": format!("projects/0/sources/urva/locations/global/findings/{id}"),
        "parent": parent,
        "parentDisplayName": "urva",
        "resourceName": cluster,
        "state": "ACTIVE",
        "category": "Malicious Script Executed",
        "moduleName": "MALICIOUS_SCRIPT_EXECUTED",
        "eventTime": now.to_string(),
        "createTime": now.to_string(),
        "severity": "CRITICAL",
        "mute": "UNDEFINED",
        "findingClass": "THREAT",
        "description": "This is a test of an output of urva. Nothing was executed, and nobody has to do anything.",
        "nextSteps": "1. Nothing: this is a test.",
        "mitreAttack": {
            "primaryTactic": "EXECUTION",
            "primaryTechniques": ["COMMAND_AND_SCRIPTING_INTERPRETER", "UNIX_SHELL"],
            "additionalTactics": ["COMMAND_AND_CONTROL"],
            "additionalTechniques": ["INGRESS_TOOL_TRANSFER"],
        },
        "processes": [{
            "name": "sh",
            "binary": {"path": "/bin/sh"},
            "script": {"path": "/tmp/test.sh", "size": "0", "sha256": sha256, "hashedSize": "0"},
            "args": ["sh", "/tmp/test.sh"],
            "pid": "1",
            "parentPid": "0",
            "userId": "0",
        }],
        "containers": [{"name": "test", "uri": "registry.example/test:1"}],
        "kubernetes": {"pods": [{"ns": "test", "name": "test-0"}]},
        "sourceProperties": {
            "Test": true,
            "Pod_Namespace": "test",
            "Pod_Name": "test-0",
            "Container_Name": "test",
            "Container_Id": "0000000000000000000000000000000000000000000000000000000000000000",
            "Container_Image_Uri": "registry.example/test:1",
            "VM_Instance_Name": "localhost",
            "Execution_Count": "1",
            "Script_SHA256": sha256,
            "Score": 1.0,
            "Model_Id": "test",
            "Reasons": [{"indicator": "this is a test", "excerpt": "", "weight": 1.0}],
            "contextUris": {
                "mitreUri": {"displayName": "MITRE Link", "url": "https://attack.mitre.org/techniques/T1059/"},
                "relatedMitreUris": [{
                    "displayName": "T1105 Ingress Tool Transfer",
                    "url": "https://attack.mitre.org/techniques/T1105/",
                }],
            },
        },
    });
    let resource = json!({
        "name": cluster,
        "displayName": "local",
        "type": "google.container.Cluster",
        "service": "container.googleapis.com",
        "location": "local",
        "gcpMetadata": {"project": "//cloudresourcemanager.googleapis.com/projects/0", "projectDisplayName": "local"},
    });
    Delivery {
        id: DeliveryId(0),
        output: output.to_owned(),
        config: None,
        event: Event::Created,
        at: now,
        finding,
        resource,
        tries: 0,
        error: None,
    }
}
