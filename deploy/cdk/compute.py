"""Where pods run: EKS in Auto Mode, reached from inside alone, and the images they run.

Auto Mode looks after nodes, their disks, their load balancing and the identity of pods, so that
none of it is ours to patch: its nodes cannot be logged into and are replaced within three weeks,
one at a time, as the chart's disruption budget lets them.
"""

from __future__ import annotations

from typing import Any

from aws_cdk import CfnOutput, RemovalPolicy, Stack
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_eks_v2 as eks
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from constructs import Construct

from deploy.cdk.acknowledged import acknowledge
from deploy.cdk.keys import Keys
from deploy.cdk.network import Network
from deploy.cdk.site import Region, Site

#: Where the chart is installed, and as whom its pods run.
NAMESPACE, SERVICE_ACCOUNT = "switch", "switch"

#: The control plane tells all that it can: who asked for what is the audit log.
_TOLD = [
    eks.ClusterLoggingTypes.API,
    eks.ClusterLoggingTypes.AUDIT,
    eks.ClusterLoggingTypes.AUTHENTICATOR,
    eks.ClusterLoggingTypes.CONTROLLER_MANAGER,
    eks.ClusterLoggingTypes.SCHEDULER,
]
_AWS_POLICY = "arn:<AWS::Partition>:iam::aws:policy/"
_CLUSTER_POLICIES = (
    "AmazonEKSClusterPolicy", "AmazonEKSComputePolicy", "AmazonEKSBlockStoragePolicy",
    "AmazonEKSLoadBalancingPolicy", "AmazonEKSNetworkingPolicy", "AmazonEKSWorkerNodePolicy",
    "AmazonEC2ContainerRegistryReadOnly",
)  # fmt: skip


class Compute(Stack):
    """The cluster of one region, the log of its pods, and the images."""

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
        """Make it, and let pods reach the database, the operators the cluster."""
        super().__init__(scope, name, **stack)
        self._site = site
        self.pod_log = self._log_group(
            "Pods", f"/aws/containerinsights/{site.name}/application", keys
        )
        control = self._log_group("Control", f"/aws/eks/{site.name}/cluster", keys)
        self.cluster = eks.Cluster(
            self,
            "Cluster",
            cluster_name=site.name,
            version=eks.KubernetesVersion.V1_34,
            vpc=network.vpc,
            vpc_subnets=[ec2.SubnetSelection(subnet_group_name="pods")],
            endpoint_access=eks.EndpointAccess.PRIVATE,
            secrets_encryption_key=keys.cluster,
            cluster_logging=_TOLD,
            default_capacity_type=eks.DefaultCapacityType.AUTOMODE,
            compute=eks.ComputeConfig(node_pools=["system", "general-purpose"]),
            bootstrap_cluster_creator_admin_permissions=False,
        )
        acknowledge(
            self.cluster,
            "AWS's own policies of a cluster in Auto Mode and of its nodes: EKS asks for these",
            *(f"AwsSolutions-IAM4[Policy::{_AWS_POLICY}{policy}]" for policy in _CLUSTER_POLICIES),
        )
        self.cluster.node.add_dependency(control)
        self._people()
        self._pods_may_be(keys.switch)
        self._logs_go_out()
        self._ways(network)
        self._images()

    def _log_group(self, name: str, path: str, keys: Keys) -> logs.LogGroup:
        return logs.LogGroup(
            self,
            name,
            log_group_name=path,
            retention=logs.RetentionDays.THIRTEEN_MONTHS,  # PCI DSS 10.5.1: twelve at least
            encryption_key=keys.logs,
            removal_policy=RemovalPolicy.RETAIN,
        )

    def _people(self) -> None:
        self.cluster.grant_access(
            "Operators",
            self._site.operators,
            [
                eks.AccessPolicy.from_access_policy_name(
                    "AmazonEKSClusterAdminPolicy", access_scope_type=eks.AccessScopeType.CLUSTER
                )
            ],
        )

    def _pods_may_be(self, switch: iam.Role) -> None:
        eks.CfnPodIdentityAssociation(
            self,
            "SwitchIdentity",
            cluster_name=self.cluster.cluster_name,
            namespace=NAMESPACE,
            service_account=SERVICE_ACCOUNT,
            role_arn=switch.role_arn,
        )

    def _logs_go_out(self) -> None:
        """What pods write on standard output goes to their log group, by AWS's own agent."""
        policy = iam.ManagedPolicy.from_aws_managed_policy_name("CloudWatchAgentServerPolicy")
        agent = iam.Role(
            self,
            "Agent",
            assumed_by=iam.SessionTagsPrincipal(iam.ServicePrincipal("pods.eks.amazonaws.com")),
            managed_policies=[policy],
        )
        acknowledge(
            agent,
            "AWS's own policy for its own agent",
            f"AwsSolutions-IAM4[Policy::{_AWS_POLICY}CloudWatchAgentServerPolicy]",
        )
        eks.CfnAddon(
            self,
            "Observability",
            cluster_name=self.cluster.cluster_name,
            addon_name="amazon-cloudwatch-observability",
            pod_identity_associations=[
                eks.CfnAddon.PodIdentityAssociationProperty(
                    role_arn=agent.role_arn, service_account="cloudwatch-agent"
                )
            ],
        )

    def _ways(self, network: Network) -> None:
        pods = self.cluster.cluster_security_group_id
        ec2.CfnSecurityGroupIngress(
            self,
            "PodsToDatabase",
            group_id=network.database.security_group_id,
            source_security_group_id=pods,
            ip_protocol="tcp",
            from_port=5432,
            to_port=5432,
            description="pods",
        )
        ec2.CfnSecurityGroupIngress(
            self,
            "OperatorsToCluster",
            group_id=pods,
            source_security_group_id=network.operators.security_group_id,
            ip_protocol="tcp",
            from_port=443,
            to_port=443,
            description="kubectl",
        )

    def _images(self) -> None:
        images = ecr.Repository(
            self,
            "Images",
            repository_name=f"{self._site.name}/switch",
            image_scan_on_push=True,
            image_tag_mutability=ecr.TagMutability.IMMUTABLE,
            encryption=ecr.RepositoryEncryption.KMS,
            removal_policy=RemovalPolicy.RETAIN,
        )
        CfnOutput(self, "Repository", value=images.repository_uri)
        CfnOutput(self, "ClusterName", value=self.cluster.cluster_name)
