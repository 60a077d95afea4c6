"""Who may use which key: the roles, a KMS key for each purpose, the payment keys.

A key policy here lets administrators look after a key and not use it; who uses it is named. So a
permission in IAM alone opens nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aws_cdk import CfnOutput, RemovalPolicy, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

from deploy.cdk.acknowledged import acknowledge
from deploy.cdk.payment import PaymentKeys
from deploy.cdk.site import Region, Site

#: What looking after a key is. Not: Encrypt, Decrypt, GenerateDataKey, CreateGrant.
_ADMINISTER = (
    "kms:CancelKeyDeletion", "kms:CreateAlias", "kms:DeleteAlias", "kms:DescribeKey",
    "kms:DisableKey", "kms:EnableKey", "kms:EnableKeyRotation", "kms:GetKeyPolicy",
    "kms:GetKeyRotationStatus", "kms:ListAliases", "kms:ListGrants", "kms:ListKeyPolicies",
    "kms:ListKeyRotations", "kms:ListResourceTags", "kms:PutKeyPolicy", "kms:ReplicateKey",
    "kms:RevokeGrant", "kms:RotateKeyOnDemand", "kms:ScheduleKeyDeletion", "kms:TagResource",
    "kms:UntagResource", "kms:UpdateAlias", "kms:UpdateKeyDescription",
)  # fmt: skip

#: What a service does with a key for somebody who may use the service.
_USE = (
    "kms:CreateGrant", "kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey",
    "kms:GenerateDataKeyWithoutPlaintext", "kms:ReEncryptFrom", "kms:ReEncryptTo",
)  # fmt: skip

#: TR-31 usages of the vault's keys: part of their encryption context (docs/vault.md).
_VAULT_USAGES = {"kms:EncryptionContext:usage": ["D0", "M7"]}

#: Days in which a deletion can be taken back: a backup needs the key that it was made under.
_DELETION_DAYS = 30


class Keys(Stack):
    """Roles and keys of one region."""

    def __init__(self, scope: Construct, name: str, *, site: Site, region: Region, **stack: Any):
        """Make them; the standby's vault, secrets and payment keys are the primary's replicas."""
        super().__init__(scope, name, **stack)
        self._site = site
        self.switch = iam.Role(
            self,
            "Switch",
            description="The switch's pods: exactly what it calls",
            assumed_by=iam.SessionTagsPrincipal(iam.ServicePrincipal("pods.eks.amazonaws.com")),
        )
        acknowledge(
            self.switch,
            "What it may do is one role's own, and read beside it: a policy apart would be shared",
            "PCI.DSS.321-IAMNoInlinePolicy",
        )
        self.database = self._service_key("Database", "rds")
        self.queue = self._service_key("Queue", "sqs")
        self.logs = self._logs_key()
        self.alarms = self._alarms_key()
        self.cluster = kms.Key(
            self,
            "Cluster",
            description="Secrets of Kubernetes: EKS wants grants by whoever makes the cluster",
            alias=f"{site.name}/cluster",
            enable_key_rotation=True,
        )
        if region.is_primary:
            self.vault_arn, self.secrets_arn = self._made()
        else:
            self.vault_arn, self.secrets_arn = self._replicated()
        self._allow_vault()
        PaymentKeys(self, "Payment", site=site, region=region).allow(self.switch)

    def _made(self) -> tuple[str, str]:
        vault = self._key("Vault", self._vault_policy(), multi_region=True)
        secrets = self._service_key("Secrets", "secretsmanager", multi_region=True)
        self.secrets_replica_arn = self._replica_arn(secrets.key_id)
        CfnOutput(self, "VaultKey", value=vault.key_id)
        CfnOutput(self, "SecretsKey", value=secrets.key_id)
        return vault.key_arn, secrets.key_arn

    def _replicated(self) -> tuple[str, str]:
        ids, primary = self._site.standby_keys, self._site.primary.name
        made = []
        for name, policy in (
            ("Vault", self._vault_policy()),
            ("Secrets", self._service_policy("secretsmanager")),
        ):
            replica = kms.CfnReplicaKey(
                self,
                name,
                primary_key_arn=f"arn:aws:kms:{primary}:{self.account}:key/{ids[name.lower()]}",
                key_policy=policy,
                pending_window_in_days=_DELETION_DAYS,
            )
            replica.apply_removal_policy(RemovalPolicy.RETAIN)
            kms.CfnAlias(
                self,
                f"{name}Alias",
                alias_name=f"alias/{self._site.name}/{name.lower()}",
                target_key_id=replica.ref,
            )
            made.append(replica.attr_arn)
        return made[0], made[1]

    def _key(self, name: str, policy: iam.PolicyDocument, *, multi_region: bool = False) -> kms.Key:
        return kms.Key(
            self,
            name,
            alias=f"{self._site.name}/{name.lower()}",
            policy=policy,
            multi_region=multi_region,
            enable_key_rotation=True,
            removal_policy=RemovalPolicy.RETAIN,
        )

    def _service_key(self, name: str, service: str, *, multi_region: bool = False) -> kms.Key:
        return self._key(name, self._service_policy(service), multi_region=multi_region)

    def _service_policy(self, service: str) -> iam.PolicyDocument:
        """Use is through the service alone, by whom IAM lets use the service."""
        through = {
            "StringEquals": {
                "kms:ViaService": f"{service}.{self.region}.amazonaws.com",
                "kms:CallerAccount": self.account,
            }
        }
        return self._policy(_allow([iam.AccountRootPrincipal()], _USE, through))

    def _vault_policy(self) -> iam.PolicyDocument:
        """The switch opens vault keys, custodians make them; nobody else does either."""
        custodians = iam.ArnPrincipal(self._site.custodians)
        context = {"StringEquals": _VAULT_USAGES}
        return self._policy(
            _allow([self.switch], ["kms:Decrypt"], context),
            _allow([custodians], ["kms:GenerateDataKey"], context),
        )

    def _logs_key(self) -> kms.Key:
        here = f"arn:aws:logs:{self.region}:{self.account}:*"
        logs = iam.ServicePrincipal(f"logs.{self.region}.amazonaws.com")
        condition = {"ArnLike": {"kms:EncryptionContext:aws:logs:arn": here}}
        return self._key("Logs", self._policy(_allow([logs], _USE[1:], condition)))

    def _alarms_key(self) -> kms.Key:
        tellers = [
            iam.ServicePrincipal("cloudwatch.amazonaws.com"),
            iam.ServicePrincipal("events.rds.amazonaws.com"),
        ]
        condition = {"StringEquals": {"aws:SourceAccount": self.account}}
        use = ["kms:Decrypt", "kms:GenerateDataKey"]
        return self._key("Alarms", self._policy(_allow(tellers, use, condition)))

    def _policy(self, *statements: iam.PolicyStatement) -> iam.PolicyDocument:
        administer = _allow([iam.AccountRootPrincipal()], _ADMINISTER)
        return iam.PolicyDocument(statements=[administer, *statements])

    def _allow_vault(self) -> None:
        self.switch.add_to_policy(
            iam.PolicyStatement(
                sid="OpenVaultKeys",
                actions=["kms:Decrypt"],
                resources=[self.vault_arn],
                conditions={"StringEquals": _VAULT_USAGES},
            )
        )

    def _replica_arn(self, key_id: str) -> str:
        """A multi-region key has the same id in each region."""
        return f"arn:aws:kms:{self._site.standby.name}:{self.account}:key/{key_id}"


def _allow(
    whom: Sequence[iam.IPrincipal], actions: Sequence[str], conditions: dict[str, Any] | None = None
) -> iam.PolicyStatement:
    return iam.PolicyStatement(
        principals=list(whom), actions=list(actions), resources=["*"], conditions=conditions or {}
    )
