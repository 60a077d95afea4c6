"""The ledger: Aurora PostgreSQL over three zones, the standby as the global database's second."""

from __future__ import annotations

from typing import Any

from aws_cdk import CfnOutput, RemovalPolicy, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from aws_cdk import aws_rds as rds
from constructs import Construct

from deploy.cdk.acknowledged import acknowledge
from deploy.cdk.keys import Keys
from deploy.cdk.network import Network
from deploy.cdk.secrets import DATABASE, MASTER, DatabaseSecrets
from deploy.cdk.site import Region, Site

ENGINE, VERSION, FAMILY = "aurora-postgresql", "17.5", "aurora-postgresql17"

#: Days to which the ledger can be taken back, to the second: the most that Aurora keeps.
BACKUP_DAYS = 35

#: Seconds between the server's own measurements of itself.
MONITORING_SECONDS = 15

#: docs/database.md: durable, over TLS alone, and no value in the server's log.
PARAMETERS = {
    "rds.force_ssl": "1",
    "ssl_min_protocol_version": "TLSv1.2",
    "synchronous_commit": "on",
    "default_transaction_isolation": "read committed",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
    "log_connections": "1",
    "log_disconnections": "1",
}


class Data(Stack):
    """The cluster of one region."""

    def __init__(
        self,
        scope: Construct,
        name: str,
        *,
        site: Site,
        region: Region,
        keys: Keys,
        network: Network,
        **stack: Any,
    ):
        """Make it: with a writer and readers in the primary, with one reader in the standby."""
        super().__init__(scope, name, **stack)
        self._site, self._region_of, self._keys = site, region, keys
        self.identifier = f"{site.name}-{region.role}"
        self._log_group()
        monitoring = self._monitoring_role()
        self.cluster = self._cluster(network)
        if region.is_primary:
            self._fill(network)
        for index in range(1 + site.readers if region.is_primary else 1):
            self._instance(index, monitoring)
        CfnOutput(self, "Endpoint", value=self.cluster.attr_endpoint_address)

    def _fill(self, network: Network) -> None:
        """What the primary alone has: passwords, and the global database that it begins."""
        key = kms.Key.from_key_arn(self, "SecretsKey", self._keys.secrets_arn)
        replica = self._keys.secrets_replica_arn if self._site.standby_keys else None
        secrets = DatabaseSecrets(
            self, "Secrets", site=self._site, key=key, replica_key_arn=replica
        )
        self.cluster.database_name = DATABASE
        self.cluster.master_username = MASTER
        password = secrets.master.secret_value_from_json("password")
        self.cluster.master_user_password = password.unsafe_unwrap()  # a reference, no value
        secrets.rotate(self.cluster.ref, network.vpc, network.rotation)
        rds.CfnGlobalCluster(
            self,
            "Global",
            global_cluster_identifier=self._site.name,
            source_db_cluster_identifier=self.cluster.ref,
            deletion_protection=True,
        )

    def _cluster(self, network: Network) -> rds.CfnDBCluster:
        isolated = network.vpc.select_subnets(subnet_group_name="database")
        subnets = rds.CfnDBSubnetGroup(
            self,
            "Subnets",
            db_subnet_group_description="Isolated, one a zone",
            subnet_ids=isolated.subnet_ids,
        )
        parameters = rds.CfnDBClusterParameterGroup(
            self,
            "Parameters",
            description="docs/database.md",
            family=FAMILY,
            parameters=PARAMETERS,
        )
        cluster = rds.CfnDBCluster(
            self,
            "Cluster",
            db_cluster_identifier=self.identifier,
            engine=ENGINE,
            engine_version=VERSION,
            global_cluster_identifier=None if self._region_of.is_primary else self._site.name,
            db_subnet_group_name=subnets.ref,
            db_cluster_parameter_group_name=parameters.ref,
            vpc_security_group_ids=[network.database.security_group_id],
            port=5432,
            storage_type="aurora-iopt1",
            storage_encrypted=True,
            kms_key_id=self._keys.database.key_arn,
            backup_retention_period=BACKUP_DAYS,
            copy_tags_to_snapshot=True,
            deletion_protection=True,
            enable_cloudwatch_logs_exports=["postgresql"],
            enable_iam_database_authentication=True,  # for people
        )
        cluster.apply_removal_policy(RemovalPolicy.SNAPSHOT)
        acknowledge(
            cluster,
            "Postgres is where every tool looks for it; another port hides nothing",
            "AwsSolutions-RDS11",
        )
        return cluster

    def _instance(self, index: int, monitoring: iam.Role) -> None:
        rds.CfnDBInstance(
            self,
            f"Instance{index}",
            db_instance_identifier=f"{self.identifier}-{index}",
            db_cluster_identifier=self.cluster.ref,
            db_instance_class=self._site.instance,
            engine=ENGINE,
            availability_zone=self._region_of.zones[index % len(self._region_of.zones)],
            promotion_tier=min(index, 1),
            publicly_accessible=False,
            auto_minor_version_upgrade=True,
            enable_performance_insights=True,
            performance_insights_kms_key_id=self._keys.database.key_arn,
            monitoring_interval=MONITORING_SECONDS,
            monitoring_role_arn=monitoring.role_arn,
        )

    def _log_group(self) -> None:
        logs.LogGroup(
            self,
            "Log",
            log_group_name=f"/aws/rds/cluster/{self.identifier}/postgresql",
            retention=logs.RetentionDays.THIRTEEN_MONTHS,
            encryption_key=self._keys.logs,
            removal_policy=RemovalPolicy.RETAIN,
        )

    def _monitoring_role(self) -> iam.Role:
        policy = iam.ManagedPolicy.from_aws_managed_policy_name(
            "service-role/AmazonRDSEnhancedMonitoringRole"
        )
        role = iam.Role(
            self,
            "Monitoring",
            assumed_by=iam.ServicePrincipal("monitoring.rds.amazonaws.com"),
            managed_policies=[policy],
        )
        acknowledge(
            role,
            "AWS's own policy for its own monitoring: log streams of RDSOSMetrics and nothing else",
            "AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/service-role/AmazonRDSEnhancedMonitoringRole]",
        )
        return role
