"""What must hold of the stacks whatever else changes: each fact tells what is against it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from aws_cdk.assertions import Match, Template

from deploy.check.cdk import Templates

#: All resources of a type have these properties: the fact in words, the type, the properties.
ALWAYS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    (
        "a queue is FIFO and enciphered by a key of ours",
        "AWS::SQS::Queue",
        {"FifoQueue": True, "KmsMasterKeyId": Match.any_value()},
    ),
    (
        "a KMS key is changed every year",
        "AWS::KMS::Key",
        {"EnableKeyRotation": True},
    ),
    (
        "the ledger is enciphered, kept for 35 days, and not deleted by mistake",
        "AWS::RDS::DBCluster",
        {
            "StorageEncrypted": True,
            "KmsKeyId": Match.any_value(),
            "BackupRetentionPeriod": 35,
            "DeletionProtection": True,
        },
    ),
    (
        "the ledger is durable, over TLS alone, and logs no value",
        "AWS::RDS::DBClusterParameterGroup",
        {
            "Parameters": Match.object_like(
                {
                    "rds.force_ssl": "1",
                    "synchronous_commit": "on",
                    "log_parameter_max_length": "0",
                    "log_parameter_max_length_on_error": "0",
                    "log_min_error_statement": "panic",
                }
            )
        },
    ),
    ("no server of the ledger is public", "AWS::RDS::DBInstance", {"PubliclyAccessible": False}),
    (
        "the cluster is reached from inside alone, tells all it does, and enciphers its secrets",
        "AWS::EKS::Cluster",
        {
            "EncryptionConfig": Match.any_value(),
            "Logging": Match.any_value(),
            "ResourcesVpcConfig": Match.object_like(
                {"EndpointPrivateAccess": True, "EndpointPublicAccess": False}
            ),
        },
    ),
    (
        "TLS of schemes passes through",
        "AWS::ElasticLoadBalancingV2::Listener",
        {"Protocol": "TCP", "Certificates": Match.absent()},
    ),
    (
        "logs are enciphered and kept for thirteen months",
        "AWS::Logs::LogGroup",
        {"KmsKeyId": Match.any_value(), "RetentionInDays": 400},
    ),
    (
        "images are scanned, enciphered, and never replaced under their tag",
        "AWS::ECR::Repository",
        {
            "ImageTagMutability": "IMMUTABLE",
            "ImageScanningConfiguration": {"ScanOnPush": True},
            "EncryptionConfiguration": Match.object_like({"EncryptionType": "KMS"}),
        },
    ),
    (
        "a payment key is for both regions",
        "AWS::PaymentCryptography::Key",
        {"Enabled": True, "ReplicationRegions": Match.any_value()},
    ),
)

#: What is lost with a stack that is deleted, unless it stays.
STAYS = (
    "AWS::KMS::Key", "AWS::KMS::ReplicaKey", "AWS::PaymentCryptography::Key",
    "AWS::SecretsManager::Secret", "AWS::SQS::Queue", "AWS::EC2::EIP", "AWS::Logs::LogGroup",
)  # fmt: skip

_OPEN = ("0.0.0.0/0", "::/0")


def problems(templates: Templates) -> Iterator[str]:
    """All facts that do not hold, a line each."""
    for stack, template in templates.items():
        for found in (
            *_always(template),
            *_open_doors(template),
            *_lost(template),
            *_plain_http(template),
            *_dead_letters(template),
            *_vault(template),
        ):
            yield f"{stack}: {found}"


def of_type(template: dict[str, Any], kind: str) -> dict[str, dict[str, Any]]:
    """The resources of a type, by their names."""
    made: dict[str, dict[str, Any]] = template.get("Resources", {})
    return {name: resource for name, resource in made.items() if resource["Type"] == kind}


def _always(template: dict[str, Any]) -> Iterator[str]:
    for fact, kind, wanted in ALWAYS:
        for name, resource in of_type(template, kind).items():
            alone = Template.from_json({"Resources": {name: {**resource, "DependsOn": []}}})
            try:
                alone.has_resource_properties(kind, Match.object_like(wanted))
            except RuntimeError:
                yield f"{name}: is against: {fact}"


def _open_doors(template: dict[str, Any]) -> Iterator[str]:
    groups = of_type(template, "AWS::EC2::SecurityGroup")
    rules = [
        (name, rule)
        for name, group in groups.items()
        for rule in group["Properties"].get("SecurityGroupIngress", [])
    ]
    apart = of_type(template, "AWS::EC2::SecurityGroupIngress")
    rules += [(name, rule["Properties"]) for name, rule in apart.items()]
    for name, rule in rules:
        if rule.get("CidrIp") in _OPEN or rule.get("CidrIpv6") in _OPEN:
            yield f"{name}: security group is open to everybody ({_ports(rule)})"
        if rule.get("IpProtocol") == "-1":
            yield f"{name}: security group lets every protocol in"


def _ports(rule: dict[str, Any]) -> str:
    return f"port {rule.get('FromPort')} to {rule.get('ToPort')}"


def _lost(template: dict[str, Any]) -> Iterator[str]:
    for kind in STAYS:
        for name, resource in of_type(template, kind).items():
            if resource.get("DeletionPolicy") != "Retain":
                yield f"{name}: would be deleted with its stack"


def _plain_http(template: dict[str, Any]) -> Iterator[str]:
    """A queue has a policy that refuses what does not come over TLS."""
    policies = of_type(template, "AWS::SQS::QueuePolicy").values()
    guarded = {
        queue["Ref"]
        for policy in policies
        for queue in policy["Properties"]["Queues"]
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]
        if statement["Effect"] == "Deny"
        and statement.get("Condition") == {"Bool": {"aws:SecureTransport": "false"}}
    }
    for name in of_type(template, "AWS::SQS::Queue").keys() - guarded:
        yield f"{name}: queue may be asked without TLS"


def _dead_letters(template: dict[str, Any]) -> Iterator[str]:
    queues = of_type(template, "AWS::SQS::Queue")
    dead = {
        queue["Properties"]["RedrivePolicy"]["deadLetterTargetArn"]["Fn::GetAtt"][0]
        for queue in queues.values()
        if "RedrivePolicy" in queue["Properties"]
    }
    for name, queue in queues.items():
        if name not in dead and "RedrivePolicy" not in queue["Properties"]:
            yield f"{name}: queue has no dead-letter queue"


def _vault(template: dict[str, Any]) -> Iterator[str]:
    """Nobody but the switch opens vault keys: not by any permission of IAM."""
    keys = of_type(template, "AWS::KMS::Key") | of_type(template, "AWS::KMS::ReplicaKey")
    for name, key in keys.items():
        if not name.startswith("Vault"):
            continue
        opens = [
            statement
            for statement in key["Properties"]["KeyPolicy"]["Statement"]
            if {"kms:Decrypt", "kms:*"} & set(_listed(statement["Action"]))
        ]
        who = [statement["Principal"].get("AWS", {}) for statement in opens]
        if len(opens) != 1 or not str(who[0]).startswith("{'Fn::GetAtt': ['Switch"):
            yield f"{name}: vault keys may be opened by others than the switch"


def _listed(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value]
