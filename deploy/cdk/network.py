"""The network: three zones, a database that reaches nobody, AWS without the internet."""

from __future__ import annotations

from typing import Any

from aws_cdk import RemovalPolicy, Stack
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from constructs import Construct

from deploy.cdk.acknowledged import acknowledge
from deploy.cdk.site import Region, Site

#: What the pods, the nodes and the rotation of secrets ask of AWS, each by an address inside.
ENDPOINTS = {
    "Kms": "kms",
    "Sqs": "sqs",
    "PaymentControl": "payment-cryptography.controlplane",
    "PaymentData": "payment-cryptography.dataplane",
    "EcrApi": "ecr.api",
    "EcrImages": "ecr.dkr",
    "Logs": "logs",
    "Sts": "sts",
    "Secrets": "secretsmanager",
    "Eks": "eks",
    "EksAuth": "eks-auth",
    "Ec2": "ec2",
    "LoadBalancing": "elasticloadbalancing",
    "Monitoring": "monitoring",
}


class Network(Stack):
    """The VPC of one region, and who may ask whom in it."""

    def __init__(
        self,
        scope: Construct,
        name: str,
        *,
        site: Site,
        region: Region,
        logs_key: kms.IKey,
        **stack: Any,
    ):
        """Make it; `logs_key` enciphers the flow logs."""
        super().__init__(scope, name, **stack)
        self.vpc = ec2.Vpc(
            self,
            "Vpc",
            ip_addresses=ec2.IpAddresses.cidr(region.network),
            availability_zones=list(region.zones),
            nat_gateways=len(region.zones),  # links that dial out have one address a zone
            subnet_configuration=[
                _subnets("edge", ec2.SubnetType.PUBLIC, 24),
                _subnets("pods", ec2.SubnetType.PRIVATE_WITH_EGRESS, 20),
                _subnets("database", ec2.SubnetType.PRIVATE_ISOLATED, 24),
            ],
            restrict_default_security_group=False,
        )
        for address in self.vpc.node.find_all():
            if isinstance(address, ec2.CfnEIP):  # on the allow-lists of schemes
                address.apply_removal_policy(RemovalPolicy.RETAIN)
        acknowledge(
            self.vpc,
            "Nothing is in the default group; to close it CDK would bring a function of its own",
            "PCI.DSS.321-VPCDefaultSecurityGroupClosed",
        )
        acknowledge(
            self.vpc,
            "Of the edge alone, where nothing is but the load balancer and NAT",
            "PCI.DSS.321-VPCNoUnrestrictedRouteToIGW",
        )
        acknowledge(
            self.vpc,
            "CDK's own role of the flow logs: it writes to their one log group",
            "PCI.DSS.321-IAMNoInlinePolicy",
        )
        self._flow_logs(site, region, logs_key)
        self.database = self._group("Database", "Aurora: from pods, operators and rotation alone")
        self.operators = self._group("Operators", "People: CloudShell in this VPC")
        self.rotation = self._group("Rotation", "What changes the passwords of the database")
        self.endpoints = self._group("Endpoints", "AWS from inside")
        for group in (self.operators, self.rotation):
            self.database.add_ingress_rule(group, ec2.Port.tcp(5432), "Postgres")
        for block in self.vpc.select_subnets(subnet_group_name="pods").subnets:
            self.endpoints.add_ingress_rule(
                ec2.Peer.ipv4(block.ipv4_cidr_block), ec2.Port.tcp(443), "pods and nodes"
            )
        self._endpoints(region)

    def _group(self, name: str, description: str) -> ec2.SecurityGroup:
        return ec2.SecurityGroup(
            self, name, vpc=self.vpc, description=description, allow_all_outbound=name != "Database"
        )

    def _flow_logs(self, site: Site, region: Region, key: kms.IKey) -> None:
        group = logs.LogGroup(
            self,
            "FlowLogs",
            log_group_name=f"/{site.name}/{region.role}/flow",
            retention=logs.RetentionDays.THIRTEEN_MONTHS,
            encryption_key=key,
            removal_policy=RemovalPolicy.RETAIN,
        )
        self.vpc.add_flow_log("Flow", destination=ec2.FlowLogDestination.to_cloud_watch_logs(group))

    def _endpoints(self, region: Region) -> None:
        pods = ec2.SubnetSelection(subnet_group_name="pods")
        for name, service in ENDPOINTS.items():
            self.vpc.add_interface_endpoint(
                name,
                service=ec2.InterfaceVpcEndpointService(
                    f"com.amazonaws.{region.name}.{service}", 443
                ),
                subnets=pods,
                security_groups=[self.endpoints],
                private_dns_enabled=True,
                open=False,
            )
        self.vpc.add_gateway_endpoint("S3", service=ec2.GatewayVpcEndpointAwsService.S3)


def _subnets(name: str, kind: ec2.SubnetType, bits: int) -> ec2.SubnetConfiguration:
    public = kind is ec2.SubnetType.PUBLIC
    return ec2.SubnetConfiguration(
        name=name,
        subnet_type=kind,
        cidr_mask=bits,
        map_public_ip_on_launch=False if public else None,
    )
