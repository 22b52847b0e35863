//! MITRE ATT&CK in the protocol's enum names. The protocol knows only some of MITRE's techniques: one that
//! it does not know is written as its parent where there is one, and else by its tactic alone.

use super::types::MitreAttack;
use crate::{Finding, Judged, Language, Subject, Tactic, Technique};
use std::collections::BTreeSet;

/// What the script does, or somebody did to urva, in the protocol's names.
pub(super) fn attack(finding: &Finding) -> MitreAttack {
    match &finding.subject {
        Subject::Script(judged) => of_script(judged),
        Subject::Gap { .. } => MitreAttack {
            primary_tactic: tactic(Tactic::DefenseEvasion),
            primary_techniques: vec!["IMPAIR_DEFENSES"],
            additional_tactics: vec![],
            additional_techniques: vec![],
        },
    }
}

fn of_script(judged: &Judged) -> MitreAttack {
    let primary_techniques = vec![
        "COMMAND_AND_SCRIPTING_INTERPRETER",
        match judged.verdict.language {
            Language::Python => "PYTHON",
            Language::Shell => "UNIX_SHELL",
        },
    ];
    let shown: BTreeSet<Technique> =
        judged.verdict.reasons.iter().filter_map(|reason| reason.technique).collect();
    let is_additional = |name: &&'static str| !primary_techniques.contains(name);
    MitreAttack {
        primary_tactic: tactic(Tactic::Execution),
        additional_tactics: distinct(
            shown
                .iter()
                .map(|technique| technique.tactic())
                .filter(|shown| *shown != Tactic::Execution)
                .map(tactic),
        ),
        additional_techniques: distinct(
            shown.iter().filter_map(|shown| technique(*shown)).filter(is_additional),
        ),
        primary_techniques,
    }
}

fn distinct(names: impl Iterator<Item = &'static str>) -> Vec<&'static str> {
    names.collect::<BTreeSet<_>>().into_iter().collect()
}

fn tactic(tactic: Tactic) -> &'static str {
    match tactic {
        Tactic::Execution => "EXECUTION",
        Tactic::Persistence => "PERSISTENCE",
        Tactic::PrivilegeEscalation => "PRIVILEGE_ESCALATION",
        Tactic::DefenseEvasion => "DEFENSE_EVASION",
        Tactic::CredentialAccess => "CREDENTIAL_ACCESS",
        Tactic::Discovery => "DISCOVERY",
        Tactic::CommandAndControl => "COMMAND_AND_CONTROL",
        Tactic::Exfiltration => "EXFILTRATION",
        Tactic::Impact => "IMPACT",
    }
}

fn technique(technique: Technique) -> Option<&'static str> {
    Some(match technique {
        Technique::CommandAndScriptingInterpreter => "COMMAND_AND_SCRIPTING_INTERPRETER",
        Technique::UnixShell => "UNIX_SHELL",
        Technique::Python => "PYTHON",
        Technique::IngressToolTransfer => "INGRESS_TOOL_TRANSFER",
        Technique::ObfuscatedFilesOrInformation => "OBFUSCATED_FILES_OR_INFO",
        Technique::DeobfuscateDecode => "DEOBFUSCATE_DECODE_FILES_OR_INFO",
        Technique::UnsecuredCredentials | Technique::ContainerApi | Technique::CloudInstanceMetadataApi => {
            "UNSECURED_CREDENTIALS"
        }
        Technique::ResourceHijacking => "RESOURCE_HIJACKING",
        Technique::ExfiltrationOverWebService => "EXFILTRATION_OVER_WEB_SERVICE",
        Technique::ApplicationLayerProtocol => "APPLICATION_LAYER_PROTOCOL",
        Technique::ScheduledTask => "SCHEDULED_TASK_JOB",
        Technique::AccountManipulation => "ACCOUNT_MANIPULATION",
        Technique::ImpairDefenses => "IMPAIR_DEFENSES",
        Technique::IndicatorRemoval => "INDICATOR_REMOVAL",
        Technique::DataDestruction => "DATA_DESTRUCTION",
        Technique::EscapeToHost => "ESCAPE_TO_HOST",
        Technique::ReflectiveCodeLoading => "REFLECTIVE_CODE_LOADING",
        Technique::ExfiltrationOverC2 | Technique::SystemInformationDiscovery => return None,
    })
}
